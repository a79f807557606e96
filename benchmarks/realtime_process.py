"""One process of `benchmarks/realtime.py`: starts a handler, answers, and prints what that took as JSON.

Needs the standard library only, for it runs on interpreters that have nothing else:

    python -I -S benchmarks/realtime_process.py '{"handler": "ours", "paths": [...], "event": {...}, ...}'
"""

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

WARM_UP = 300


def ours(job):
    """The packaged function with a stored profile at hand, its history decoded anew for each answer."""
    from fraudline.profiles import decode_history
    from fraudline.realtime.config import config_from
    from fraudline.realtime.decide import Stored
    from fraudline.realtime.function import Function
    from fraudline.realtime.model import PACKAGED_MODEL, Models, Packaged
    from fraudline.realtime.ports import NoRecorder
    from fraudline.realtime.telemetry import Telemetry

    history = bytes.fromhex(job["history"])

    class Profiles:
        def look_up(self, decider, transactions, seconds):
            return [Stored("found", "1", decode_history(history)) for _ in transactions]

    # Lines are written and flushed as on Lambda, only that nobody keeps them.
    telemetry = Telemetry("local", "ecommerce", os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    models = Models(Packaged(PACKAGED_MODEL), "ecommerce", telemetry)
    models.refresh()
    function = Function(config_from({}), models, Profiles(), NoRecorder(), telemetry)
    return lambda event: function.answer(event, None), models


def ours_on_aws(job):
    """The deployed entry point, its AWS clients ready; nobody listens at the endpoint."""
    from fraudline.realtime.handler import handler

    return lambda event: handler(event, None), None


def seed(job):
    """The seed's way: the pipeline unpickled at import, a data frame built for each call."""
    import joblib
    import pandas as pd

    pipeline = joblib.load(job["pipeline"])

    def handler(event):
        data = event["transaction_data"]
        row = pd.DataFrame([json.loads(data) if isinstance(data, str) else data])
        moment = pd.to_datetime(row["timestamp"])
        row["hour"], row["weekday"] = moment.dt.hour, moment.dt.dayofweek
        probability = float(pipeline.predict_proba(row)[0, 1])
        body = {"is_fraud": int(probability >= 0.5), "fraud_probability": probability}
        return {"statusCode": 200, "body": json.dumps(body)}

    return handler, None


def boto3_clients(job):
    """What the function would start with instead of its own signer."""
    import boto3

    for service in ("dynamodb", "s3"):
        boto3.client(service, region_name="us-east-1")
    return None, None


def own_clients(job):
    from fraudline.realtime.aws import Service, place_of
    from fraudline.realtime.dynamodb import DynamoDB
    from fraudline.realtime.s3 import S3Reader

    DynamoDB(Service(place_of("dynamodb", os.environ)))
    S3Reader(place_of("s3", os.environ), "bucket")
    return None, None


def warm(answer, event, calls):
    """CPU seconds of each call, in order: what else the machine does is not in them."""
    for _ in range(min(WARM_UP, calls)):
        answer(event)
    taken = []
    for _ in range(calls):
        started = time.thread_time()
        answer(event)
        taken.append(time.thread_time() - started)
    return taken


def while_a_champion_loads(answer, event, models, loads):
    """Seconds by the wall clock, for it is about waiting, of calls while another thread loads model after model."""
    done = threading.Event()

    def load():
        for _ in range(loads):
            models._replace(models.current.bundle.version)
        done.set()

    threading.Thread(target=load, daemon=True).start()
    taken = []
    while not done.is_set():
        started = time.perf_counter()
        answer(event)
        taken.append(time.perf_counter() - started)
    return taken


def main():
    job = json.loads(sys.argv[1])
    sys.path[:0] = job["paths"]
    sys.dont_write_bytecode = True
    before = time.process_time()
    answer, models = {f.__name__: f for f in (ours, ours_on_aws, seed, boto3_clients, own_clients)}[job["handler"]](job)
    if answer:
        response = answer(job["event"])
        assert response["statusCode"] == 200, response
    cold = time.process_time()
    result = {"cold_cpu": cold, "without_interpreter": cold - before}
    if job.get("calls"):
        result["warm"] = warm(answer, job["event"], job["calls"])
    if job.get("loads"):
        result["loading"] = while_a_champion_loads(answer, job["event"], models, job["loads"])
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        result["memory"] = int(peak.split()[1]) * 1024
    else:
        result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(result))


if __name__ == "__main__":
    main()
