"""Measures the throughput of a server with one client: a load generator, or any command.

    load.py generate URL FOLDER IN_FLIGHT    sends every body of FOLDER once, and keeps IN_FLIGHT requests in flight
    load.py command URL COMMAND…             runs the command, which sends requests to the server

Prints one line of JSON: pages and tokens per second from the first token of work to the last, by the server's own counters;
and the numbers of running and waiting requests. It measures both clients in the same way.
"""

import asyncio
import json
import sys
import time
import urllib.request
from pathlib import Path

SAMPLE = 0.25
COUNTERS = ("prompt_tokens_total", "generation_tokens_total", "num_preemptions_total", "request_success_total")
GAUGES = ("num_requests_running", "num_requests_waiting")
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read_metrics(url):
    values = dict.fromkeys(COUNTERS + GAUGES, 0.0)
    finished = 0.0
    with OPENER.open(f"{url}/metrics", timeout=30) as reply:
        for line in reply.read().decode().splitlines():
            name, _, rest = line.partition("{")
            name = name.removeprefix("vllm:")
            if name in values:
                value = float(rest.rsplit(" ", 1)[1])
                values[name] += value
                if name == "request_success_total" and 'finished_reason="stop"' in rest:
                    finished += value
    values["stopped"] = finished
    return values


class Watch:
    """Samples of the server's metrics over time."""

    def __init__(self, url):
        self.url, self.samples = url, []

    def sample(self):
        self.samples.append((time.monotonic(), read_metrics(self.url)))

    def summary(self):
        start, end = self.samples[0][1], self.samples[-1][1]

        def work(values):
            return values["prompt_tokens_total"] + values["generation_tokens_total"]

        first = next(at for at, values in self.samples if values["num_requests_running"] or work(values) > work(start))
        last = next(at for at, values in self.samples if work(values) >= work(end) and not values["num_requests_running"])
        span = last - first
        within = [values for at, values in self.samples if first <= at <= last]
        middle = [(at, values) for at, values in self.samples if first + 0.2 * span <= at <= first + 0.8 * span]
        (begin, low), (until, high) = middle[0], middle[-1]

        def mean(name):
            return sum(values[name] for values in within) / len(within)

        return {
            "seconds": round(span, 2),
            "requests": end["request_success_total"] - start["request_success_total"],
            "stopped": end["stopped"] - start["stopped"],
            "pages_per_second": round((end["stopped"] - start["stopped"]) / span, 4),
            "generated_per_second": round((end["generation_tokens_total"] - start["generation_tokens_total"]) / span, 1),
            "generated": end["generation_tokens_total"] - start["generation_tokens_total"],
            "prompt": end["prompt_tokens_total"] - start["prompt_tokens_total"],
            "middle_pages_per_second": round((high["stopped"] - low["stopped"]) / (until - begin), 4),
            "middle_work_per_second": round((work(high) - work(low)) / (until - begin), 1),
            "running_mean": round(mean("num_requests_running"), 1),
            "waiting_mean": round(mean("num_requests_waiting"), 1),
            "preemptions": end["num_preemptions_total"] - start["num_preemptions_total"],
        }


async def watch_until(watch, done):
    while not done.is_set():
        await asyncio.to_thread(watch.sample)
        await asyncio.sleep(SAMPLE)
    while watch.samples[-1][1]["num_requests_running"]:
        await asyncio.sleep(SAMPLE)
        await asyncio.to_thread(watch.sample)
    watch.sample()


async def generate(url, folder, in_flight):
    import aiohttp

    bodies = sorted(Path(folder).glob("*.json"))
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        waiting = iter(bodies)

        async def worker():
            for body in waiting:
                headers = {"Content-Type": "application/json"}
                async with session.post(f"{url}/v1/chat/completions", data=body.read_bytes(), headers=headers) as reply:
                    if reply.status != 200:
                        sys.exit(f"load: {url} answered HTTP {reply.status} to {body.name}: {(await reply.text())[:300]}")
                    async for _ in reply.content.iter_any():
                        pass

        await asyncio.gather(*(worker() for _ in range(in_flight)))


async def measured(url, job):
    await asyncio.to_thread(begin_anew, url)
    watch, done = Watch(url), asyncio.Event()
    watch.sample()
    watching = asyncio.create_task(watch_until(watch, done))
    code = await job
    done.set()
    await watching
    print(json.dumps(watch.summary() | {"code": code or 0}))
    return code or 0


def begin_anew(url):
    """Makes scripted_answers.py start its list again; any other server writes 15 tokens."""
    message = {"role": "user", "content": "."}
    body = json.dumps({"model": served_name(url), "messages": [message], "max_tokens": 15}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    OPENER.open(request, timeout=60).read()


def served_name(url):
    with OPENER.open(f"{url}/v1/models", timeout=30) as reply:
        return json.load(reply)["data"][0]["id"]


async def run(command):
    process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr)
    return await process.wait()


def main():
    mode, url, *rest = sys.argv[1:]
    job = generate(url, rest[0], int(rest[1])) if mode == "generate" else run(rest)
    sys.exit(asyncio.run(measured(url, job)))


if __name__ == "__main__":
    main()
