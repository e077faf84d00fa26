import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="%NOBODY_SET_THIS%")
def unset(timer: func.TimerRequest) -> None: ...
