"""Every trigger and binding that the lab's host offers, for its tests. Writes what it saw into the folder SEEN."""

import json
import logging
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import List  # noqa: UP035 - Microsoft's worker refuses list[str] in an annotation

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
jobs = func.Blueprint()
log = logging.getLogger("whole.app")


def note(kind: str, **what: object) -> None:
    """Leave a file that a test can read, whole or not at all."""
    folder = Path(os.environ["SEEN"])
    hidden = folder / f".{uuid.uuid4()}"
    hidden.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), **what}))
    hidden.rename(folder / f"{kind}-{time.time_ns()}-{uuid.uuid4().hex[:6]}.json")


@app.route(route="echo/{id:int}/{*rest}", methods=["POST", "PUT"], auth_level=func.AuthLevel.ANONYMOUS)
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().hex(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="items/{name:alpha}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def item_by_name(req: func.HttpRequest) -> str:
    return "name " + req.route_params["name"]


@app.route(route="items/special", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def item_special(req: func.HttpRequest) -> str:
    return "special"


@app.route(route="items/{id:int?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def item_by_id(req: func.HttpRequest) -> str:
    log.info("item %s", req.route_params.get("id"))
    return "id " + str(req.route_params.get("id"))


@app.route(route="binary", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def binary(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(
        bytes(range(256)), status_code=203, mimetype="application/x-lab", headers={"X-Lab": "yes"}
    )
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2; Max-Age=60; SameSite=Strict; Secure")
    return response


@app.route(route="broken", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise LookupError("this one always fails")


@app.route(route="nothing", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None


@app.route(route="guarded", methods=["GET"])
def guarded(req: func.HttpRequest) -> str:
    return "in"


@app.route(route="%ADMIN_ROUTE%", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
def for_admins(req: func.HttpRequest, context: func.Context) -> str:
    return f"{context.function_name} {len(context.invocation_id)} {context.trace_context.trace_parent}"


@app.route(route="any", auth_level=func.AuthLevel.ANONYMOUS)
def any_method(req: func.HttpRequest) -> str:
    return req.method


@app.route(route="slow", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def slow(req: func.HttpRequest) -> str:
    log.info("slow begins")
    note("slow")
    time.sleep(float(req.params["seconds"]))
    return "slept"


@app.route(route="answer", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def answer(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Answer": req.params["header"]} if "header" in req.params else {}
    return func.HttpResponse("", status_code=int(req.params.get("status", "200")), headers=headers)


@app.route(route="die", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def die(req: func.HttpRequest) -> str:
    os._exit(7)


@app.route(route="threads", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def threads(req: func.HttpRequest) -> str:
    return os.environ["PYTHON_THREADPOOL_THREAD_COUNT"]


@app.route(route="send", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="one", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="many", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
def send(req: func.HttpRequest, one: func.Out[str], many: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    wanted = req.get_json()
    if "one" in wanted:
        one.set(wanted["one"])
    if "many" in wanted:
        many.set(wanted["many"])
    if wanted.get("fail"):
        raise RuntimeError("after setting the outputs")
    return func.HttpResponse(status_code=202)


def written(at: datetime | None) -> str | None:
    """None for a message that never was in a queue."""
    return at and at.isoformat()


@jobs.queue_trigger(
    arg_name="raw", queue_name="bytes", connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def keep_bytes(raw: bytes) -> None:
    note("bytes", body=raw.hex())


@jobs.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@jobs.queue_output(arg_name="$return", queue_name="results", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage) -> str:
    body = message.get_body().decode()
    note(
        "work",
        body=body,
        id=message.id,
        dequeue_count=message.dequeue_count,
        inserted=written(message.insertion_time),
        expires=written(message.expiration_time),
        visible=written(message.time_next_visible),
        receipt=bool(message.pop_receipt),
    )
    if body.startswith("fail"):
        raise ValueError(f"cannot work on {body}")
    if body.startswith("sleep"):
        time.sleep(float(body.split()[1]))
        note("slept", body=body)
    return f"done {body}"


@jobs.queue_trigger(arg_name="text", queue_name="%WORK_QUEUE%-poison", connection="AzureWebJobsStorage")
async def keep_poison(text: str) -> None:
    note("poison", body=text)
    if "even here" in text:
        raise ValueError("this one fails in the poison queue too")


@jobs.timer_trigger(arg_name="timer", schedule="%EACH_SECOND%", run_on_startup=False)
@jobs.queue_output(arg_name="out", queue_name="ticks", connection="AzureWebJobsStorage")
def tick(timer: func.TimerRequest, out: func.Out[List[str]]) -> None:  # noqa: UP006
    began = time.time()
    time.sleep(float(os.environ.get("TICK_SECONDS", "0")))
    out.set(["tick", "tock"])
    note("tick", began=began, ended=time.time())


@jobs.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *")
def yearly(timer: func.TimerRequest) -> None:
    log.warning("yearly runs, past due: %s", timer.past_due)
    note("yearly", past_due=timer.past_due, status=timer.schedule_status)
    time.sleep(float(os.environ.get("YEARLY_SECONDS", "0")))


@jobs.timer_trigger(arg_name="timer", schedule="00:10:00", run_on_startup=True)
@jobs.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
def at_start(timer: func.TimerRequest, context: func.Context) -> None:
    count = context.retry_context.retry_count
    note("at_start", count=count, most=context.retry_context.max_retry_count)
    if count < 2:
        raise OSError(f"attempt {count} fails")


app.register_functions(jobs)
