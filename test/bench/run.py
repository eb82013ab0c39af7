# SPDX-License-Identifier: Apache-2.0
"""The bench: Tandem beside nginx, HAProxy and a raw byte forwarder, on loopback.

Method. Load and upstream share core 0, the proxies core 1; only one of them is asked at a time,
and the others must not run meanwhile (this is checked). All get the same open-loop rate. The
rounds are interleaved: each case goes over all proxies before the next case begins, and ratios are
taken inside a round. CPU is the on-CPU time of all threads of the proxy inside a window in which
every connection is at its rate. Percentiles are those of the answers inside that window. The
upstream's own count must match the answers that the load saw.

Environment: BENCH_ROUNDS (3), BENCH_SECONDS (4, of each window), BENCH_ONLY (plain, chat, tls,
h2, handshake, ws, stream or memory), BENCH_PROXIES (direct,raw,nginx,haproxy,tandem), BENCH_PORT (18000, ports PORT+1..PORT+24),
BENCH_STRICT=1 (a missed bar is exit status 3).
"""
import argparse
import os
import shutil
import sys
import time

import report
from cases import IDLE_CONNECTIONS, OPEN_STREAMS, make_cases, measure, measure_held
from machine import Children, cpu_ns, listening_ports, raise_file_limit, wait_for
from proxies import ALL, LOAD_CORE, MODEL, OFFSETS, PLAIN, WS, Env

GROUPS = ("plain", "chat", "tls", "h2", "handshake", "ws", "stream", "memory")
OTHERS_SHARE_MAX = 0.005  # of the window's CPU time that proxies which are not asked may use


def say(text):
    print(text, flush=True)


def number_from(name, default):
    text = os.environ.get(name, str(default))
    if not text.isdigit() or int(text) == 0:
        sys.exit(f"bench: {name}='{text}' must be a positive number")
    return int(text)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="folder with the programs, such as build/release")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table there")
    options = parser.parse_args()
    options.rounds = number_from("BENCH_ROUNDS", 3)
    options.seconds = number_from("BENCH_SECONDS", 4)
    options.port = number_from("BENCH_PORT", 18000)
    options.only = os.environ.get("BENCH_ONLY") or None
    if options.only not in (None, *GROUPS):
        sys.exit(f"bench: BENCH_ONLY='{options.only}' must be one of {', '.join(GROUPS)}")
    names = (os.environ.get("BENCH_PROXIES") or ",".join(ALL)).split(",")
    unknown = [name for name in names if name not in ALL]
    if unknown:
        sys.exit(f"bench: BENCH_PROXIES names '{unknown[0]}'; there are {', '.join(ALL)}")
    options.proxies = names
    return options


def refuse_if_busy(env):
    busy = sorted({env.port(o) for o in OFFSETS} & listening_ports())
    if busy:
        sys.exit(f"bench: something listens on port {', '.join(map(str, busy))}; end it, or set "
                 "BENCH_PORT to another base")


def start_upstream(env):
    env.children.start("tandem-demo", LOAD_CORE, [
        env.program("tandem-demo"), "--plain", f"127.0.0.1:{env.port(PLAIN)}",
        "--model", f"127.0.0.1:{env.port(MODEL)}"])
    env.children.start("wsload", LOAD_CORE, [env.program("wsload"), "serve", env.port(WS)])
    wait_for("the upstream",
             lambda: {env.port(PLAIN), env.port(MODEL), env.port(WS)} <= listening_ports())


def choose_proxies(options, env, problems):
    chosen = []
    for name in options.proxies:
        proxy = ALL[name](env)
        why = proxy.missing()
        if why:
            problems.append(f"{name} takes no part: {why}")
            say(f"bench: {problems[-1]}")
        else:
            chosen.append(proxy)
    return chosen


def run_rounds(options, env, cases, proxies, results, problems):
    for number in range(1, options.rounds + 1):
        for case in cases:
            for proxy in proxies:
                if case.kind not in proxy.kinds:
                    continue
                others = [pid for p in proxies if p is not proxy for pid in p.pids]
                idle_before, began = cpu_ns(others), time.monotonic()
                sample = measure(env, proxy, case, options.seconds)
                share = (cpu_ns(others) - idle_before) / 1e9 / (time.monotonic() - began)
                results.add(case, proxy, sample)
                proxy.answers += sample.answers
                proxy.log_lines += proxy.drain_log()
                where = f"round {number}: {case.name}: {proxy.name}"
                if sample.problem:
                    problems.append(f"{where}: {sample.problem}")
                if share > OTHERS_SHARE_MAX:
                    problems.append(f"{where}: other proxies used {share:.1%} of a core meanwhile")
                say(f"{where}: {sample.rate:.0f}/s, CPU {report.show(sample.cpu_us, 2)} us"
                    + (f"  PROBLEM: {sample.problem}" if sample.problem else ""))


def run_memory(env, proxies, files, results, problems):
    """Each proxy alone and fresh: memory that an earlier load left behind would hide the growth."""
    for what, count in (("idle", IDLE_CONNECTIONS), ("hold", OPEN_STREAMS)):
        if count * 2 > files:
            problems.append(f"memory: {count} connections need more than {files} open files")
            count = files // 2 - 100
        for proxy in proxies:
            if not proxy.has_duties:
                continue
            proxy.start()
            try:
                each, problem = measure_held(env, proxy, what, count)
            finally:
                proxy.stop()
            results.memory[(what, proxy.name)] = each
            say(f"memory: {what} x {count}: {proxy.name}: {each / 1024:.2f} KiB each")
            if problem:
                problems.append(f"memory: {proxy.name}: {problem}")


def check_logs(proxies, problems):
    """A duty that is not done is not measured: one line for every answer."""
    for proxy in proxies:
        if not proxy.log:
            continue
        proxy.log_lines += proxy.drain_log()
        say(f"log {proxy.name} {proxy.log_lines} lines for {proxy.answers} answers")
        if proxy.log_lines != proxy.answers:
            problems.append(f"{proxy.name} logged {proxy.log_lines} lines for {proxy.answers} "
                            "answers")


def print_results(options, results, cases, proxies):
    rows = report.table(results, cases, proxies)
    memory = report.memory_rows(results)
    made = report.bars(results, cases, options.only)
    if rows:
        say("\n" + report.aligned(report.HEADER, rows))
        say("(!) the asked rate was not reached; CPU us is of the proxy, per answer")
    if memory:
        say("\n" + report.aligned(["memory", "proxy", "KiB each"], memory))
    say("\n" + "\n".join(made.lines))
    if options.markdown:
        parts = ["\n".join(f"- {line}" for line in report.machine_lines()),
                 f"- {options.rounds} rounds, windows of {options.seconds} s"]
        if rows:
            parts += ["", report.markdown(report.HEADER, rows)]
        if memory:
            parts += ["", report.markdown(["memory", "proxy", "KiB each"], memory)]
        parts += ["", "```", *made.lines, "```"]
        with open(options.markdown, "w") as out:
            out.write("\n".join(parts) + "\n")
    return made


def main():
    options = read_options()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench: two cores are needed, one for load and upstream and one for the proxy")
    files = raise_file_limit()
    folder = os.path.abspath(os.path.join(options.build, "bench"))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    children = Children(folder)
    env = Env(os.path.abspath(options.build), folder, options.port, children, files)
    refuse_if_busy(env)
    os.sched_setaffinity(0, {LOAD_CORE})

    problems, results = [], report.Results()
    start_upstream(env)
    proxies = choose_proxies(options, env, problems)
    cases = make_cases(folder, options.only)
    if cases:
        for proxy in proxies:
            proxy.start()
        run_rounds(options, env, cases, proxies, results, problems)
        for proxy in proxies:
            proxy.stop()
        time.sleep(0.2)  # HAProxy's last lines come by TCP
        check_logs(proxies, problems)
    if options.only in (None, "memory"):
        run_memory(env, proxies, files, results, problems)
    children.stop_all()
    made = print_results(options, results, cases, proxies)
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        return 1
    return 3 if made.missed() and os.environ.get("BENCH_STRICT") == "1" else 0


if __name__ == "__main__":
    sys.exit(main())
