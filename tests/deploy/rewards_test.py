"""The rewards of deploy/rewards as an actor runs them: verl's and TRL's functions unchanged, math-verify.

rewards_test.py adapters       only the standard library
rewards_test.py math_verify    in the oracle's environment, which has math-verify
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REWARDS = ROOT / "deploy/rewards"
STYLES = ROOT / "tests/deploy/rewards"


class Reward:
    """One process, asked line by line."""

    def __init__(self, *command, python=sys.executable):
        self.process = subprocess.Popen([python, "-B", *map(str, command)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.asked = 0

    def __call__(self, completion, reference="18", columns=None, **more):
        self.asked += 1
        request = {"id": f"p/0/{self.asked}", "reward": "r", "prompt": "How many?", "solution": "",
                   "completion": completion, "reference": reference, "columns": columns or {},
                   "tokens": 3, "truncated": False, **more}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        expect(reply.pop("id") == request["id"], "the id is another one")
        return reply

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        code = self.process.wait(60)
        expect(code == 0, f"the process ended with {code} when its input ended")


def expect(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


def expect_reply(reply, **fields):
    expect(reply == fields, f"the reply is {reply}, not {fields}")


def verl_functions():
    adapter, file = REWARDS / "verl_adapter.py", STYLES / "verl_style.py"
    with Reward(adapter, file) as reward:
        expect_reply(reward("so #### 18"), value=1.0)
        expect_reply(reward("so #### 1,8"), value=1.0)
        expect_reply(reward("so #### 7"), value=0.1)
        expect_reply(reward("größer\n"), value=0.0)
        # As verl's own data have it.
        columns = {"data_source": "gsm8k", "reward_model": {"style": "rule", "ground_truth": "7"}}
        expect_reply(reward("#### 7", columns=columns), value=1.0)
    with Reward(adapter, file, "--name", "with_details") as reward:
        expect_reply(reward("18", columns={"extra_info": {"index": 5}}), value=2.0,
                     verdict="correct", extracted="5")
        expect_reply(reward("7", columns={"index": 6}), value=-2.0, verdict="wrong", extracted="6")
    with Reward(adapter, file, "--name", "later") as reward:
        expect_reply(reward(""), value=1.0)
    with Reward(adapter, file, "--name", "raises") as reward:
        expect_reply(reward(""), error="KeyError: 'missing'")
        expect_reply(reward(""), error="KeyError: 'missing'")  # and it lives
    with Reward(adapter, file, "--name", "not_finite") as reward:
        expect_reply(reward(""), error="ValueError: nan is no finite number")


def trl_functions():
    adapter, file = REWARDS / "verl_adapter.py", STYLES / "trl_style.py"
    with Reward(adapter, file, "--trl", "accuracy") as reward:
        expect_reply(reward("it is 18", columns={"answer": "18"}), value=1.0)
        expect_reply(reward("it is 7", columns={"answer": "18"}), value=0.0)
    with Reward(adapter, file, "--trl", "format_of_messages", "--conversational") as reward:
        expect_reply(reward("123456789"), value=1.0)
    with Reward(adapter, file, "--trl", "not_for_this") as reward:
        expect_reply(reward(""), error="the function returned None")


def math_verify():
    with Reward(REWARDS / "math_verify_reward.py") as reward:
        expect_reply(reward("so it is $\\frac{1}{2}$", "0.5"), value=1.0, verdict="correct",
                     extracted="\\frac{1}{2}")
        expect_reply(reward("\\boxed{(1, 2]}", "(1,2]"), value=1.0, verdict="correct",
                     extracted="(1, 2]")
        expect_reply(reward("\\boxed{3}", "\\sqrt{8}"), value=0.0, verdict="wrong", extracted="3")
        expect_reply(reward("I do not know"), value=0.0, verdict="unparsable")
        expect_reply(reward("\\boxed{18}", truncated=True), value=0.0, verdict="truncated")
        expect_reply(reward("18", reference=""), value=0.0, verdict="reference_unparsable")


def main():
    verl_functions()
    trl_functions()
    print("every reward said what it should")


if __name__ == "__main__":
    if sys.argv[1] == "math_verify":
        sys.path.insert(0, str(ROOT / "tests/parity"))
        import oracle
        oracle.run(math_verify)
    else:
        main()
