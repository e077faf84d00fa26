import azure.functions as func

app = func.FunctionApp()


@app.function_name("twin")
@app.route(route="one")
def one(req: func.HttpRequest) -> str:
    return "one"


@app.function_name("twin")
@app.route(route="two")
def two(req: func.HttpRequest) -> str:
    return "two"
