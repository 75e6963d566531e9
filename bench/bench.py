"""Starts a private Postgres, loads data, starts the release binary, drives it, prints one table.

Everything runs on this machine at once: service, Postgres and load generator. Figures are therefore given as
ratios to a reference of the same run: pgbench asking Postgres the same thing itself, or the service's own
/healthz. Repetitions are interleaved, medians are shown.

A script, not a crate: it starts other programs and reads their output, and a crate in the workspace would be
built by everybody who only wants to test.
"""

import argparse
import datetime
import glob
import http.client
import json
import os
import pwd
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
USERS, SESSIONS = 100_000, 500_000
LARGE_USERS, LARGE_SESSIONS = 1_000_000, 10_000_000
CONNECTIONS = (16, 64, 256)
OVERLOAD = (512, 2048, 6000)
KEY = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
SECRET = "an-admin-secret-of-the-benchmark-0123456789"


def fail(text):
    sys.exit(f"bin/bench: {text}")


def find_tool(name, hint):
    found = shutil.which(name)
    if not found:
        fail(f"{name} is missing. {hint}")
    return found


def find_postgres():
    """The folder of Postgres's programs: PG_BIN_DIR, what is on the PATH, or the newest Debian package."""
    folders = [os.environ.get("PG_BIN_DIR")]
    postgres = shutil.which("postgres")
    folders.append(postgres and os.path.dirname(postgres))
    packaged = glob.glob("/usr/lib/postgresql/*/bin")
    folders += sorted(packaged, key=lambda path: int(path.split("/")[4]), reverse=True)
    for folder in folders:
        if folder and all(os.path.exists(f"{folder}/{name}") for name in ("initdb", "postgres", "pgbench")):
            return folder
    fail("no Postgres with initdb and pgbench found. Install postgresql, or set PG_BIN_DIR.")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A cluster in a folder that goes away."""

    def __init__(self, folder, bin_dir, settings):
        self.bin_dir, self.port = bin_dir, free_port()
        self.data = f"{folder}/data"
        # Postgres refuses to run as root.
        self.user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = "postgres" if "postgres" in names else "nobody"
            os.chown(folder, pwd.getpwnam(self.user).pw_uid, -1)
        self.log = open(f"{folder}/postgres.log", "wb")
        self.run_as([f"{bin_dir}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                     "--locale=C", "--no-sync"])
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
                   "max_connections": 100, "shared_buffers": "1GB", "max_wal_size": "8GB",
                   "checkpoint_timeout": "30min", **settings}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen([f"{bin_dir}/postgres", "-D", self.data, *arguments],
                                        stdout=self.log, stderr=self.log, cwd="/", **self.as_user())
        for _ in range(300):
            if subprocess.run([f"{bin_dir}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0:
                return
            time.sleep(0.1)
        fail(f"Postgres does not start; see {folder}/postgres.log")

    def as_user(self):
        if self.user is None:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def run_as(self, command):
        subprocess.run(command, check=True, stdout=self.log, stderr=self.log, cwd="/", **self.as_user())

    def url(self, database):
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def psql(self, database, *arguments):
        command = [f"{self.bin_dir}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url(database)]
        done = subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def query(self, sql, database="postgres"):
        return self.psql(database, "-c", sql)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


class Service:
    """The release binary on a database."""

    def __init__(self, binary, url, folder):
        self.port = free_port()
        self.log = open(f"{folder}/service.log", "ab")
        environment = {"DATABASE_URL": url, "ADDRESS": f"127.0.0.1:{self.port}",
                       "PUBLIC_URL": "https://auth.example.com", "SIGNING_KEY_ENCRYPTION_KEY": KEY,
                       "ADMIN_SECRET": SECRET, "WEBAUTHN_RP_ID": "example.com",
                       "WEBAUTHN_RP_ORIGIN": "https://auth.example.com", "PATH": os.environ["PATH"]}
        self.started = time.perf_counter()
        self.process = subprocess.Popen([binary, "serve"], env=environment, stdout=self.log, stderr=self.log)

    def get(self, path, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def first_session(self):
        """Milliseconds from the start of the process to the first verified session."""
        while True:
            try:
                status, body = self.get("/v1/sessions/current", token(1))
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    fail(f"the service ended at its start; see {self.log.name}")
                time.sleep(0.0005)
                continue
            if status != 200:
                fail(f"the first verification was answered with {status}: {body[:300]}")
            return (time.perf_counter() - self.started) * 1000

    def memory(self, field):
        """VmRSS or VmHWM, in MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            line = next(line for line in status if line.startswith(field))
        return int(line.split()[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


TICK = os.sysconf("SC_CLK_TCK")


def ticks(pid):
    """Seconds of processor time of a process, and of its children that have ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0, 0
    return sum(map(int, fields[11:15])) / TICK, int(fields[1])


def processor_time(postgres, service):
    """Seconds that Postgres, the service and the ended load generators have used so far."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime + ticks(postgres.process.pid)[0]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        seconds, parent = ticks(pid)
        if parent == postgres.process.pid:
            total += seconds
    return total + (ticks(service.process.pid)[0] if service else 0)


def token(number):
    return f"session_0194{number:08x}700080000000{number:08x}_{number:012x}" + "A" * 31


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.wrk_binary = find_tool("wrk", "Install the package wrk.")
        self.pg_bin = find_postgres()
        self.stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        os.makedirs(f"{HERE}/results", exist_ok=True)
        self.raw = open(f"{HERE}/results/{self.stamp}-{arguments.label}.txt", "w", encoding="utf-8")
        self.rows = []
        self.postgres = None

    def note(self, text):
        print(text, file=self.raw, flush=True)

    def say(self, text):
        print(text, file=sys.stderr, flush=True)
        self.note(f"# {text}")

    def wrk(self, service, connections, path="/v1/sessions/current", sessions=SESSIONS, seconds=None, count=False):
        if path == "/healthz":
            sessions = 0
        threads = 1 if connections < 2 else 2
        command = [self.wrk_binary, f"-t{threads}", f"-c{connections}", f"-d{seconds or self.arguments.seconds}s",
                   "--timeout", "10s", "-s", f"{HERE}/verify.lua", f"http://127.0.0.1:{service.port}", "--",
                   str(sessions), path, *(["count"] if count else [])]
        before = processor_time(self.postgres, service)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        used = processor_time(self.postgres, service) - before
        load = os.getloadavg()[0]
        self.note(f"$ wrk -c{connections} {path} of {sessions} sessions (load {load:.1f})\n{done.stdout}")
        result = json.loads(done.stdout.strip().splitlines()[-1])
        result["rate"] = result["requests"] / result["duration_us"] * 1e6
        result["cpu_us"] = used / max(result["requests"], 1) * 1e6
        self.note(f"processor time a request: {result['cpu_us']:.1f} µs")
        if not count and (result["not_2xx"] or result["timeout"] or result["read"]):
            fail(f"unexpected answers: {result}")
        return result

    def introspect(self, service, connections):
        """Introspection of a random one of the users' API keys, by the admin secret."""
        command = [self.wrk_binary, "-t2", f"-c{connections}", f"-d{self.arguments.seconds}s", "--timeout", "10s", "-s",
                   f"{HERE}/introspect.lua", f"http://127.0.0.1:{service.port}", "--", str(USERS), SECRET]
        before = processor_time(self.postgres, service)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        used = processor_time(self.postgres, service) - before
        self.note(f"$ wrk -c{connections} /v1/api-keys/introspections (load {os.getloadavg()[0]:.1f})\n{done.stdout}")
        result = json.loads(done.stdout.strip().splitlines()[-1])
        result["rate"] = result["requests"] / result["duration_us"] * 1e6
        result["cpu_us"] = used / max(result["requests"], 1) * 1e6
        self.note(f"processor time a request: {result['cpu_us']:.1f} µs")
        if result["not_2xx"] or result["timeout"] or result["read"] or result["inactive"]:
            fail(f"unexpected answers: {result}")
        return result

    def pgbench(self, postgres, database, clients, sessions=SESSIONS):
        command = [f"{self.pg_bin}/pgbench", "-n", "-M", "prepared", "-f", "session.sql",
                   "-D", f"sessions={sessions}", "-c", str(clients), "-j", str(min(clients, 2)),
                   "-T", str(self.arguments.seconds), "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres",
                   database]
        before = processor_time(postgres, None)
        # From its own folder: pgbench prints the path of its script, which belongs in no record.
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              cwd=HERE)
        used = processor_time(postgres, None) - before
        self.note(f"$ pgbench -c{clients} of {sessions} sessions (load {os.getloadavg()[0]:.1f})\n{done.stdout}")
        figures = {}
        for line in done.stdout.splitlines():
            if line.startswith("number of transactions actually processed"):
                count = int(line.split(":")[1].split("/")[0])
                figures["cpu_us"] = used / max(count, 1) * 1e6
                self.note(f"processor time a query: {figures['cpu_us']:.1f} µs")
            if line.startswith("latency average"):
                figures["mean_us"] = float(line.split("=")[1].split()[0]) * 1000
            elif line.startswith("tps"):
                figures["rate"] = float(line.split("=")[1].split()[0])
        return figures

    def row(self, what, figure, reference="", ratio="", target=""):
        self.rows.append((what, figure, reference, ratio, target))
        self.say("  " + "   ".join(part for part in self.rows[-1] if part))

    def make_database(self, postgres, name, users, sessions):
        self.say(f"loading {users} users and {sessions} sessions")
        postgres.query(f"CREATE DATABASE {name}")
        environment = {"DATABASE_URL": postgres.url(name), "PATH": os.environ["PATH"]}
        subprocess.run([self.arguments.binary, "migrate"], env=environment, check=True, stdout=self.raw, stderr=self.raw)
        postgres.psql(name, "-v", f"users={users}", "-v", f"sessions={sessions}", "-f", f"{HERE}/data.sql")

    @staticmethod
    def last_seen(postgres, name, ago):
        """A negative age lies ahead: no session is due to be written, whatever the run takes."""
        sql = f"UPDATE auth.sessions SET last_seen_at = now() - interval '{ago}'"
        postgres.query(sql, name)
        postgres.query("VACUUM (FULL, ANALYZE) auth.sessions", name)
        postgres.query("CHECKPOINT")


def median(results, key="rate"):
    return statistics.median(result[key] for result in results)


def rate(value):
    return f"{value:,.0f}/s"


def verification(bench, postgres, service):
    """P1, P2 and the references, interleaved."""
    runs = {name: [] for name in ("pgbench", "pgbench1", "hello", "hello1", "single", *CONNECTIONS)}
    for repetition in range(bench.arguments.repetitions):
        bench.say(f"verification, repetition {repetition + 1} of {bench.arguments.repetitions}")
        runs["pgbench"].append(bench.pgbench(postgres, "small", 8))
        for connections in CONNECTIONS:
            runs[connections].append(bench.wrk(service, connections))
        runs["hello"].append(bench.wrk(service, 64, "/healthz"))
        runs["pgbench1"].append(bench.pgbench(postgres, "small", 1))
        runs["single"].append(bench.wrk(service, 1))
        runs["hello1"].append(bench.wrk(service, 1, "/healthz"))
    reference = median(runs["pgbench"])
    targets = {16: 0.45, 64: 0.6, 256: 1.0}
    bench.row("pgbench, one-row session query, 8 clients", rate(reference))
    bench.row("/healthz, 64 connections", rate(median(runs["hello"])))
    for connections in CONNECTIONS:
        figure = median(runs[connections])
        bench.row(f"P1 verify, {connections} connections", rate(figure), rate(reference),
                  f"{figure / reference:.2f}", f"≥ {targets[connections]}")
    # Where others use the machine, rates drop by chance; what an answer costs does not. Of service, Postgres
    # and load generator together, so that the ratio is what P1 would be on a machine of one's own.
    reference = median(runs["pgbench"], "cpu_us")
    for connections in CONNECTIONS:
        figure = median(runs[connections], "cpu_us")
        bench.row(f"processor time of verify, {connections} connections", f"{figure:.1f} µs", f"{reference:.1f} µs",
                  f"{reference / figure:.2f}")
    p99 = median(runs[64], "p99_us") / 1000
    bench.row("P2 verify, 64 connections, p99", f"{p99:.1f} ms", f"p50 {median(runs[64], 'p50_us') / 1000:.1f} ms", "",
              "≤ 8 ms")
    single = median(runs["single"], "mean_us")
    parts = median(runs["pgbench1"], "mean_us") + median(runs["hello1"], "mean_us")
    bench.row("P2 verify, one client, mean", f"{single:.0f} µs", f"query + hello {parts:.0f} µs",
              f"{single / parts:.2f}", "≤ 1.5")


def introspection(bench, service):
    """P3 beside P1, interleaved."""
    runs = [(bench.introspect(service, 256), bench.wrk(service, 256)) for _ in range(bench.arguments.repetitions)]
    for key, what, show in (("rate", "P3 key introspection, 256 connections", rate),
                            ("cpu_us", "processor time of key introspection, 256 connections", "{:.1f} µs".format)):
        figure, reference = median([run[0] for run in runs], key), median([run[1] for run in runs], key)
        ratio, target = (figure / reference, "≥ 0.9 × P1") if key == "rate" else (reference / figure, "")
        bench.row(what, show(figure), show(reference), f"{ratio:.2f}", target)


def last_seen(bench, postgres, service):
    """Every session is due: the worst minute after a quiet one."""
    runs = []
    for _ in range(bench.arguments.repetitions):
        bench.last_seen(postgres, "small", "2 minutes")
        runs.append((bench.pgbench(postgres, "small", 8), bench.wrk(service, 256)))
    bench.last_seen(postgres, "small", "-3 hours")
    reference, figure = median([run[0] for run in runs]), median([run[1] for run in runs])
    bench.row("P1 verify, 256 connections, last-seen due everywhere", rate(figure), rate(reference),
              f"{figure / reference:.2f}")


def footprint(bench, service, idle):
    bench.row("P9 resident, idle", f"{idle:.1f} MB", target="≤ 30 MB")
    bench.row("P9 resident, under P1 (peak)", f"{service.memory('VmHWM'):.1f} MB", target="≤ 80 MB")
    bench.row("P9 binary", f"{os.path.getsize(bench.arguments.binary) / 1e6:.1f} MB", target="≤ 25 MB")


def quiet(bench, postgres, service):
    """P10: an idle service asks nothing. Postgres's own autovacuum would count as a transaction."""
    postgres.query("ALTER SYSTEM SET autovacuum = off")
    postgres.query("SELECT pg_reload_conf()")
    service.get("/v1/sessions/current", token(1))
    time.sleep(15)
    counter = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'small'"
    before = int(postgres.query(counter))
    time.sleep(bench.arguments.idle)
    asked = int(postgres.query(counter)) - before
    postgres.query("ALTER SYSTEM RESET autovacuum")
    postgres.query("SELECT pg_reload_conf()")
    bench.row(f"P10 transactions in {bench.arguments.idle} s without requests", str(asked), target="0")


def cold_start(bench, postgres, folder):
    times = []
    for _ in range(10):
        service = Service(bench.arguments.binary, postgres.url("small"), folder)
        times.append(service.first_session())
        service.stop()
    bench.note(f"cold starts, ms: {[round(value, 1) for value in times]}")
    bench.row("P10 process start to first verified session", f"{statistics.median(times):.0f} ms",
              f"of 10: {min(times):.0f} to {max(times):.0f}", target="≤ 60 ms")


def overload(bench, service, peak):
    for connections in OVERLOAD:
        result = bench.wrk(service, connections, count=True)
        served = result["status_200"] / result["duration_us"] * 1e6
        bench.row(f"P12 verify, {connections} connections", rate(served), rate(peak), f"{served / peak:.2f}",
                  "≥ 0.9" if connections == OVERLOAD[0] else "")
        bench.row(f"    p99 {result['p99_us'] / 1000:.0f} ms; 503: {result['status_503']}, other: "
                  f"{result['status_other']}, timeouts: {result['timeout']}", "")


def growth(bench, postgres, folder):
    """P11: the same on twenty times the sessions."""
    bench.make_database(postgres, "large", LARGE_USERS, LARGE_SESSIONS)
    small = Service(bench.arguments.binary, postgres.url("small"), folder)
    large = Service(bench.arguments.binary, postgres.url("large"), folder)
    small.first_session(), large.first_session()
    runs = []
    for _ in range(bench.arguments.repetitions):
        runs.append((bench.wrk(small, 256), bench.wrk(large, 256, sessions=LARGE_SESSIONS),
                     bench.pgbench(postgres, "small", 8), bench.pgbench(postgres, "large", 8, LARGE_SESSIONS)))
    figures = [median([run[index] for run in runs]) for index in range(4)]
    bench.row("P11 verify, 256 connections, 10M sessions", rate(figures[1]), rate(figures[0]),
              f"{figures[1] / figures[0]:.2f}", "≥ 0.8")
    bench.row("P11 pgbench, 8 clients, 10M sessions", rate(figures[3]), rate(figures[2]),
              f"{figures[3] / figures[2]:.2f}")
    small.stop(), large.stop()


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="utf-8") as info:
        memory = int(next(info).split()[1]) / 1e6
    return f"{os.cpu_count()} × {model}, {memory:.0f} GB, Linux {os.uname().release}"


def main():
    target = os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target")
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=f"{target}/release/beyond-auth", help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--idle", type=int, default=20, help="seconds of silence for P10 (%(default)s)")
    parser.add_argument("--large", action="store_true", help="also P11: 1M users, 10M sessions; some minutes, 8 GB")
    parser.add_argument("--only", default="", help="some of: verify introspect last-seen quiet cold overload, by commas")
    parser.add_argument("--label", default="bench", help="part of the raw output's file name")
    arguments = parser.parse_args()
    if not os.access(arguments.binary, os.X_OK):
        fail(f"{arguments.binary} is missing. Run: cargo build --release -p beyond-auth")
    wanted = [word for word in arguments.only.split(",") if word]
    bench = Bench(arguments)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True)
    bench.say(f"{machine()}; commit {commit.stdout.strip() or '?'}; load before {os.getloadavg()[0]:.1f}")

    folder = tempfile.mkdtemp(prefix="beyond-auth-bench-")
    os.chmod(folder, 0o755)
    postgres = Postgres(folder, bench.pg_bin, {"shared_buffers": "4GB"} if arguments.large else {})
    bench.postgres = postgres
    services = []
    try:
        bench.say(postgres.query("SELECT version()"))
        bench.make_database(postgres, "small", USERS, SESSIONS)
        service = Service(arguments.binary, postgres.url("small"), folder)
        services.append(service)
        service.first_session()
        time.sleep(2)
        idle = service.memory("VmRSS")
        bench.wrk(service, 64, seconds=3)  # warm caches, for everybody alike

        def do(name):
            return not wanted or name in wanted
        if do("verify"):
            verification(bench, postgres, service)
        if do("introspect"):
            introspection(bench, service)
        if do("last-seen"):
            last_seen(bench, postgres, service)
        footprint(bench, service, idle)
        if do("overload"):
            peak = statistics.median(bench.wrk(service, 256, count=True)["rate"] for _ in range(2))
            overload(bench, service, peak)
        if do("quiet"):
            quiet(bench, postgres, service)
        service.stop()
        services.remove(service)
        if do("cold"):
            cold_start(bench, postgres, folder)
        if arguments.large:
            growth(bench, postgres, folder)
    finally:
        for left in services:
            left.process.kill()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    bench.say(f"load after {os.getloadavg()[0]:.1f}")
    table(bench)


def table(bench):
    head = ("figure", "", "reference", "ratio", "target")
    widths = [max(len(row[column]) for row in [head, *bench.rows]) for column in range(5)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *bench.rows]]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    print("\n".join(lines))
    bench.note("\n".join(lines))
    print(f"raw output: {os.path.relpath(bench.raw.name)}")


if __name__ == "__main__":
    main()
