import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="not--a_queue", connection="AzureWebJobsStorage")
def misnamed(message: func.QueueMessage) -> None: ...
