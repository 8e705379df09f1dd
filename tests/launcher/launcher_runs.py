#!/usr/bin/env python3
"""Every way a run can end, with the real launcher, the real mpirun and a fake worker.

usage: launcher_runs.py LOCKSTEP FAKE_WORKER [NAME...]
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

LOCKSTEP, WORKER = [os.path.abspath(path) for path in sys.argv[1:3]]
HAVE_MPIRUN = shutil.which("mpirun") is not None or "LOCKSTEP_MPIRUN" in os.environ
FOREIGN = (
    "OMPI_",
    "PMIX_",
    "SLURM_",
    "LOCKSTEP_RANK",
    "LOCKSTEP_WORLD",
    "RANK",
    "WORLD_SIZE",
    "PET_",
)


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class RunTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def tearDown(self):
        # Whatever happened: no process and no temporary folder of this test may be left.
        end = time.time() + 5
        while time.time() < end and (self.processes() or self.scratch()):
            time.sleep(0.05)
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.scratch(), [])

    def processes(self):
        """Living processes that were started below this test's folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                state = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0]
                if os.readlink(f"/proc/{pid}/cwd") == self.folder and state != "Z":
                    found.append(
                        (int(pid), read_text(f"/proc/{pid}/cmdline").replace("\0", " ")[:80])
                    )
            except OSError:
                continue
        return found

    def scratch(self):
        """Those of the temporary folders that note_scratch() saw which still exist."""
        return [path for path in self.seen_scratch if os.path.exists(path)]

    seen_scratch = ()

    def environment(self, settings):
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)
        }
        return {**environment, "LOCKSTEP_WORKER": WORKER, **settings}

    def start(self, *words, **settings):
        return subprocess.Popen(
            [LOCKSTEP, *words],
            cwd=self.folder,
            env=self.environment(settings),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, process, limit=40):
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"not finished within {limit} s:\n{out}\n{err}")
        return Result(process.returncode, out, err)

    def lockstep(self, *words, **settings):
        return self.finish(self.start(*words, **settings))

    def wait_for(self, condition, what, seconds=15):
        end = time.time() + seconds
        while time.time() < end:
            if condition():
                return
            time.sleep(0.02)
        self.fail(f"waited {seconds} s for {what}")

    def wait_for_step(self, step, run="run"):
        log = os.path.join(self.folder, run, "metrics.jsonl")
        self.wait_for(
            lambda: os.path.exists(log) and read_text(log).count("\n") >= step, f"step {step}"
        )
        self.note_scratch()

    def note_scratch(self):
        """Remembers the temporary folder in use, so that tearDown can tell that it is gone."""
        text = self.read("run/logs/attempt-0/launcher.log")
        self.seen_scratch = tuple(re.findall(r"(/\S+/lockstep-\d+-\w+)/rank-0\.stderr", text))
        self.assertTrue(self.seen_scratch)

    def read(self, path):
        return read_text(os.path.join(self.folder, path))

    def json(self, path):
        return json.loads(self.read(path))

    def expect(self, result, code, *texts):
        self.assertEqual(result.code, code, result.err)
        for text in texts:
            self.assertIn(text, result.err)

    def expect_run(self, result, code, *texts, run="run"):
        """A run folder was made: its path is the last line on stdout."""
        self.expect(result, code, *texts)
        self.assertEqual(result.out.splitlines()[-1], f"run folder: {run}")


class Normal(RunTest):
    def test_one_rank_trains_without_a_launcher(self):
        result = self.lockstep("train", "x.yaml", "--run-folder", "run")
        self.expect_run(
            result, 0, "fake training", "no launcher, since there is 1 rank", "done: 5 of 5 steps"
        )
        self.assertEqual(
            self.json("run/status.json"),
            {
                "state": "done",
                "step": 5,
                "exit_code": 0,
                "attempt": 0,
                "checkpoint": "step-00000005",
            },
        )
        self.assertEqual(self.read("run/config.yaml"), "train:\n  steps: 5  # fake\n")
        self.assertEqual(self.json("run/plan.json")["global_batch"], 64)
        self.assertNotIn("config_yaml", self.json("run/plan.json"))
        self.assertIn("lockstep train x.yaml", self.json("run/env.json")["command"])
        self.assertIn("<!doctype html>", self.read("run/report.html"))
        self.assertNotIn("fake training", result.out)

    def test_folders_are_made_below_the_parent_folder(self):
        runs = {
            self.lockstep("train", "x.yaml", FAKE_FOLDER="out").out.splitlines()[-1]
            for _ in range(2)
        }
        self.assertEqual(len(runs), 2)
        for run in runs:
            self.assertRegex(run, r"^run folder: out/fake/\d{8}-\d{6}(-\d+)?$")

    def test_overrides_and_flags_reach_the_worker(self):
        self.lockstep(
            "train",
            "x.yaml",
            "a.b=[1, 2]",
            "~c.d",
            "+e=x y",
            "--nproc_per_node=1",
            "--max-restarts",
            "2",
            "--standalone",
            "--dry-run",
            "3",
            "--run-folder",
            "run",
        )
        plan = self.json("run/plan.json")
        self.assertEqual(
            plan["words"],
            [
                "plan",
                "x.yaml",
                "a.b=[1, 2]",
                "~c.d",
                "+e=x y",
                "launch.ranks_per_node=1",
                "launch.max_restarts=2",
                "--prepare",
                "--run-folder",
                "run",
                "--dry-run",
                "3",
            ],
        )
        self.assertIn("--dry-run 3", self.read("run/logs/attempt-0/launcher.log"))

    @unittest.skipUnless(HAVE_MPIRUN, "mpirun is missing")
    def test_three_ranks_train_under_mpirun(self):
        result = self.lockstep("train", "x.yaml", "--ranks", "3", "--run-folder", "run")
        self.expect_run(result, 0, "mpirun, since there are 3 ranks")
        for rank in range(3):
            self.assertIn(f"rank {rank} starts", self.read(f"run/logs/attempt-0/rank-{rank}.log"))
        self.assertEqual(result.err.count("fake training"), 1)

    @unittest.skipUnless(HAVE_MPIRUN, "mpirun is missing")
    def test_ranks_of_a_foreign_mpirun_become_workers(self):
        environment = self.environment(
            {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        )
        done = subprocess.run(
            ["mpirun", "-n", "2", "--oversubscribe", LOCKSTEP, "train", "x.yaml", "a=1"],
            cwd=self.folder,
            env=environment,
            text=True,
            capture_output=True,
            timeout=30,
            check=True,
        )
        self.assertEqual(
            sorted(done.stdout.split("\n")),
            ["", "foreign rank 0: train x.yaml a=1", "foreign rank 1: train x.yaml a=1"],
        )

    def test_rank_0_sees_a_terminal_if_there_is_one(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(
            [LOCKSTEP, "train", "x.yaml", "--run-folder", "run"],
            cwd=self.folder,
            env=self.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        text = b""
        try:
            while block := os.read(ours, 4096):
                text += block
        except OSError:  # the other end was closed
            pass
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"fake training on a terminal\r\n", text)
        self.assertNotIn("on a terminal", self.lockstep("train", "x.yaml").err)

    def test_a_rank_of_torchrun_goes_on_as_that_rank(self):
        result = self.lockstep(
            "train",
            "x.yaml",
            "a.b=1",
            RANK="1",
            WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT="29500",
        )
        self.expect(result, 0)
        self.assertEqual(result.out, "foreign rank 1: train x.yaml a.b=1\n")
        result = self.lockstep(
            "resume", "run", RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="29500"
        )
        self.assertEqual(result.out, "foreign rank 0: train --resume run\n")

    def test_slurm_jobs_start_ranks_by_srun(self):
        bin_folder = os.path.join(self.folder, "bin")
        os.mkdir(bin_folder)
        with open(os.path.join(bin_folder, "srun"), "w", encoding="utf-8") as file:
            file.write(
                '#!/bin/sh\necho "$@" > srun.txt\nwhile [ "${1#--}" != "$1" ]; do shift; done\n'
                'exec "$@"\n'
            )
        os.chmod(os.path.join(bin_folder, "srun"), 0o755)
        result = self.lockstep(
            "train",
            "x.yaml",
            "--run-folder",
            "run",
            SLURM_JOB_ID="7",
            SLURM_PROCID="0",
            PATH=bin_folder + ":" + os.environ["PATH"],
        )
        self.expect_run(result, 0, "srun, since this is a Slurm job")
        self.assertIn("--mpi=pmix --nodes=1 --ntasks=1", self.read("srun.txt"))

    def test_other_commands_are_the_workers(self):
        self.assertEqual(
            self.lockstep("data", "make", "sudoku", "--help").out, "data\nmake\nsudoku\n--help\n"
        )
        self.assertEqual(
            self.lockstep("sample", "run", "--puzzle", "53..").out, "sample\nrun\n--puzzle\n53..\n"
        )

    def test_plan_prints_text_or_json(self):
        self.assertEqual(
            self.lockstep("plan", "x.yaml", "--ranks", "4").out, "a fake run of 4 ranks\n"
        )
        self.assertEqual(json.loads(self.lockstep("plan", "x.yaml", "--json").out)["ranks"], 1)


class Resume(RunTest):
    def test_resume_goes_on_with_the_next_attempt(self):
        self.lockstep("train", "x.yaml", "--run-folder", "run", FAKE_STEPS="4")
        self.expect_run(self.lockstep("resume", "run", FAKE_STEPS="8"), 0)
        self.assertIn("starting from step 4", self.read("run/logs/attempt-1/rank-0.log"))
        self.assertEqual(self.json("run/plan.json")["words"], ["plan", "run", "--resume"])
        self.assertEqual(self.json("run/status.json")["attempt"], 1)

    def test_resume_of_a_finished_run_does_nothing(self):
        self.lockstep("train", "x.yaml", "--run-folder", "run")
        self.expect_run(self.lockstep("resume", "run"), 0, "this run is done")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "run/logs/attempt-1")))

    def test_train_into_a_folder_with_a_run_points_to_resume(self):
        self.lockstep("train", "x.yaml", "--run-folder", "run")
        self.expect(
            self.lockstep("train", "x.yaml", "--run-folder", "run"),
            2,
            "holds a run already",
            "lockstep resume run",
        )

    def test_resume_of_nothing_is_refused(self):
        self.expect(self.lockstep("resume", "nowhere"), 2, "nowhere")

    def test_a_second_run_in_the_same_folder_is_refused(self):
        first = self.start("train", "x.yaml", "--run-folder", "run", FAKE_STEPS="500")
        self.wait_for_step(1)
        began = time.time()
        self.expect(self.lockstep("resume", "run"), 8, "another run holds run", str(first.pid))
        self.assertLess(time.time() - began, 1)
        first.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(first).code, 75)


@unittest.skipUnless(HAVE_MPIRUN, "mpirun is missing")
class Failures(RunTest):
    def train(self, events, *words, **settings):
        return self.lockstep(
            "train",
            "x.yaml",
            "--ranks",
            "2",
            "--run-folder",
            "run",
            *words,
            FAKE_EVENTS=events,
            **settings,
        )

    def test_errors_that_would_come_again_end_the_run(self):
        for code in (2, 3, 4, 5, 7):
            with self.subTest(code=code):
                result = self.train(f"*.1@3:error={code}")
                self.expect_run(
                    result,
                    code,
                    "error: shard train-003.h5 is damaged",
                    "help: fetch it again",
                    "rank 1 failed first, at step 3",
                    "   | rank 1 starts",
                    "no restart",
                )
                error = self.json("run/error.json")
                self.assertEqual((error["rank"], error["exit_code"], error["step"]), (1, code, 3))
                status = self.json("run/status.json")
                self.assertEqual((status["state"], status["exit_code"]), ("failed", code))
                self.assertNotIn("mpirun noticed", result.err)
                self.assertNotIn("Primary job", result.err)
                shutil.rmtree(os.path.join(self.folder, "run"))

    def test_a_killed_rank_is_named_and_the_run_restarts(self):
        result = self.train("0.1@3:signal=9", FAKE_STEPS="8")
        self.expect_run(
            result,
            0,
            "rank 1 was killed by SIGKILL after step 3 in phase 'compute'",
            "is intact; going on from it",
            "restart 1 of 3",
        )
        self.assertEqual(self.json("run/status.json")["attempt"], 1)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "run/error.json")))
        self.assertEqual(self.json("run/logs/attempt-0/error.json")["signal"], "SIGKILL")

    def test_a_crash_is_named(self):
        self.expect_run(
            self.train("*.0@2:signal=11", "--max-restarts", "0"),
            6,
            "rank 0 was killed by SIGSEGV",
            "launch.max_restarts is 0",
        )

    def test_restarts_are_used_up(self):
        result = self.train(
            "*.1@*:silent=9", "--max-restarts", "1", FAKE_STEPS="900", FAKE_CHECKPOINT_EVERY="500"
        )
        self.expect_run(
            result,
            6,
            "rank 1 exited with code 9",
            "restart 1 of 1",
            "all 1 of launch.max_restarts are used up",
        )

    def test_a_stopped_rank_is_noticed(self):
        began = time.time()
        result = self.train(
            "0.1@3:stop", FAKE_TIMEOUT="1", FAKE_STEPS="400", FAKE_STEP_MILLISECONDS="5"
        )
        self.expect_run(
            result, 0, "rank 1 gave no sign of life for 2 s after step 3", "restart 1 of 3"
        )
        self.assertLess(time.time() - began, 12)

    def test_a_rank_that_leaves_early_is_noticed(self):
        result = self.train(
            "*.0@3:leave",
            "--max-restarts",
            "0",
            FAKE_TIMEOUT="1",
            FAKE_STEPS="100000",
            FAKE_STEP_MILLISECONDS="5",
        )
        self.expect_run(result, 6, "rank 0 left the others")

    def test_no_restart_after_three_without_progress(self):
        result = self.lockstep(
            "train",
            "x.yaml",
            "--run-folder",
            "run",
            "--max-restarts",
            "9",
            FAKE_EVENTS="*.0@1:signal=9",
        )
        self.expect_run(result, 6, "3 restarts brought no new checkpoint")
        self.assertEqual(self.json("run/status.json")["attempt"], 3)

    def test_a_killed_mpirun_takes_its_ranks_along(self):
        process = self.start(
            "train",
            "x.yaml",
            "--ranks",
            "2",
            "--run-folder",
            "run",
            "--max-restarts",
            "1",
            FAKE_STEPS="40",
        )
        self.wait_for_step(3)
        mpirun = [pid for pid, words in self.processes() if "mpirun" in words.split()[0]]
        os.kill(mpirun[0], signal.SIGKILL)
        self.expect_run(self.finish(process), 0, "mpirun was killed by SIGKILL", "restart 1 of 1")


class NoMpirun(RunTest):
    def test_two_ranks_without_mpirun(self):
        result = self.lockstep(
            "train",
            "x.yaml",
            "--ranks",
            "2",
            "--run-folder",
            "run",
            LOCKSTEP_MPIRUN="/nowhere/mpirun",
        )
        self.expect_run(
            result,
            0,
            "local processes, since there are 2 ranks and no mpirun",
            "done: 5 of 5 steps",
        )
        shutil.rmtree(os.path.join(self.folder, "run"))
        result = self.lockstep(
            "train",
            "x.yaml",
            "--ranks",
            "2",
            "--run-folder",
            "run",
            LOCKSTEP_MPIRUN="/nowhere/mpirun",
            FAKE_WITH="mpirun",
        )
        self.expect(result, 3, "mpirun was not found", "scripts/setup", "launch.with=local")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "run")))

    def test_the_worker_is_missing(self):
        self.expect(
            self.lockstep("train", "x.yaml", LOCKSTEP_WORKER="/nowhere/worker"),
            3,
            "/nowhere/worker",
            "is missing",
        )

    def test_a_bad_config_is_the_workers_message(self):
        result = self.lockstep("train", "bad.yaml", "--run-folder", "run")
        self.expect(result, 2, "unknown key 'trian'", "bad.yaml:3:1")
        self.assertEqual(result.out, "")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "run")))


class Signals(RunTest):
    def begin(self, ranks):
        process = self.start(
            "train",
            "x.yaml",
            "--ranks",
            str(ranks),
            "--run-folder",
            "run",
            FAKE_STEPS="1000",
            FAKE_CHECKPOINT_EVERY="500",
        )
        self.wait_for_step(3)
        return process

    def test_a_request_to_stop_saves_and_returns_75(self):
        for ranks in (1, 2) if HAVE_MPIRUN else (1,):
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
                with self.subTest(ranks=ranks, signal=number.name):
                    process = self.begin(ranks)
                    process.send_signal(number)
                    self.expect_run(self.finish(process), 75, "go on: ", "lockstep resume run")
                    status = self.json("run/status.json")
                    self.assertEqual((status["state"], status["exit_code"]), ("stopped", 75))
                    self.assertEqual(status["checkpoint"], f"step-{status['step']:08}")
                    shutil.rmtree(os.path.join(self.folder, "run"))

    def test_interrupted_twice_ends_at_once(self):
        # The rank is stopped, so it cannot obey the first request.
        process = self.begin(1)
        rank = [pid for pid, words in self.processes() if "fake_worker" in words.split()[0]]
        os.kill(rank[0], signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        began = time.time()
        self.expect_run(self.finish(process), 130, "ended at once")
        self.assertLess(time.time() - began, 3)

    def test_stopping_while_the_plan_is_made(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                process = self.start("train", "slow.yaml", "--run-folder", "run")
                self.wait_for(
                    lambda: any("fake_worker" in words for _, words in self.processes()), "the plan"
                )
                process.send_signal(number)
                self.expect(self.finish(process), 75, "nothing was started")
                self.assertFalse(os.path.exists(os.path.join(self.folder, "run")))

    def test_ranks_die_with_a_killed_launcher_and_the_folder_is_free_again(self):
        for ranks in (1, 2) if HAVE_MPIRUN else (1,):
            with self.subTest(ranks=ranks):
                process = self.begin(ranks)
                process.kill()
                process.communicate()
                result = self.lockstep("resume", "run", FAKE_STEPS="4")  # waits for the old ranks
                self.expect_run(result, 0)
                # The new launcher also removed what the killed one could not.
                self.assertEqual(self.scratch(), [])
                self.assertEqual(self.processes(), [])
                shutil.rmtree(os.path.join(self.folder, "run"))


class Listing(RunTest):
    def test_runs_and_logs(self):
        self.lockstep("train", "x.yaml", "--run-folder", "runs/a")
        self.lockstep("train", "x.yaml", "--run-folder", "runs/b", FAKE_EVENTS="*.0@3:error=4")
        rows = [json.loads(line) for line in self.lockstep("runs", "--json").out.splitlines()]
        self.assertEqual(
            [(row["run"], row["state"], row["step"]) for row in rows],
            [("runs/a", "done", 5), ("runs/b", "failed", 3)],
        )
        self.assertRegex(self.lockstep("runs").out, r"runs/b +failed +3/5")
        self.assertEqual(self.lockstep("logs", "runs/b", "--lines", "1").out, "step 2\n")
        self.expect(
            self.lockstep("logs", "runs/b", "--rank", "5"), 2, "rank 5 of attempt 0 has no log"
        )

    def test_a_report_of_several_runs(self):
        for name in ("a", "b"):
            self.lockstep("train", "x.yaml", "--run-folder", "runs/" + name)
        self.assertEqual(
            self.lockstep("report", "runs/a", "runs/b", "--output", "both.html").out, "both.html\n"
        )
        self.assertIn("2 runs", self.read("both.html"))


class CommandLine(RunTest):
    def test_help_fits_a_screen_and_starts_with_examples(self):
        text = self.lockstep("--help").out
        self.assertLessEqual(len(text.splitlines()), 32)
        self.assertLess(text.index("Examples"), text.index("Commands"))
        for name in (
            "train",
            "resume",
            "plan",
            "sample",
            "evaluate",
            "forward",
            "optimize",
            "data",
            "config",
            "report",
            "env",
            "runs",
            "logs",
        ):
            self.assertIn(f"\n  {name} ", text)
            self.assertIn(
                "Examples", self.lockstep(name, "--help").out if name != "env" else "Examples"
            )
        for line in text.splitlines():
            self.assertLessEqual(len(line), 100)

    def test_help_is_quick(self):
        times = []
        for _ in range(20):
            began = time.perf_counter()
            subprocess.run([LOCKSTEP, "--help"], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - began)
        self.assertLess(sorted(times)[5], 0.030)

    def test_mistakes_are_named(self):
        for words, texts in (
            (["trian"], ["unknown command 'trian'", "did you mean `", "lockstep train`?"]),
            (["train"], ["train needs a config file"]),
            (
                ["train", "x.yaml", "--rank", "2"],
                ["unknown flag '--rank'", "did you mean '--ranks'?"],
            ),
            (["train", "x.yaml", "--ranks", "0"], ["--ranks"]),
            (["train", "x.yaml", "--ranks", "2", "--nproc-per-node", "2"], ["twice"]),
            (["train", "x.yaml", "--nproc-per-node", "two"], ["--nproc-per-node", "'two'"]),
            (["train", "x.yaml", "y.yaml"], ["'y.yaml' is no override"]),
            (["train", "x.yaml", "--nnodes", "2"], ["--nnodes 2 needs --node-rank"]),
            (
                [
                    "train",
                    "x.yaml",
                    "--nnodes",
                    "2",
                    "--node-rank",
                    "2",
                    "--master-addr",
                    "a",
                    "--nproc-per-node",
                    "1",
                ],
                ["--node-rank", "0 to 1"],
            ),
            (["train", "x.yaml", "--nnodes", "1:4"], ["--nnodes 1:4", "cannot change"]),
            (["launch"], ["launch needs a program"]),
            (["resume", "x", "--run-folder", "y"], ["--run-folder"]),
            (["plan"], ["plan needs a config file"]),
            (["runs", "nowhere"], ["there is no folder nowhere"]),
        ):
            with self.subTest(words=words):
                self.expect(
                    self.lockstep(*words),
                    2,
                    "error: ",
                    "help: " if "0" not in words and "two" not in words else "",
                    *texts,
                )

    def test_version(self):
        self.assertRegex(self.lockstep("--version").out, r"^lockstep \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
