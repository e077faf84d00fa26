import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="0 61 * * * *")
def never_right(timer: func.TimerRequest) -> None: ...
