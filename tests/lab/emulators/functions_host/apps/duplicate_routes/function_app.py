import azure.functions as func

app = func.FunctionApp()


@app.route(route="things/{id}", methods=["GET", "PUT"])
def first_thing(req: func.HttpRequest) -> str:
    return "first"


@app.route(route="Things/{name}", methods=["PUT"])
def second_thing(req: func.HttpRequest) -> str:
    return "second"


@app.route(route="things/{id}", methods=["DELETE"])
def third_thing(req: func.HttpRequest) -> str:
    return "another method, so no duplicate"
