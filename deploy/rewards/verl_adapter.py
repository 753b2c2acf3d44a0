"""Runs a reward function that was written for verl or TRL, unchanged, as a reward of kind PROCESS.

    python3 verl_adapter.py FILE                    verl: compute_score(data_source, solution_str,
                                                    ground_truth, extra_info) of FILE
    python3 verl_adapter.py FILE --trl NAME         TRL: NAME(prompts, completions, **columns)

verl: the record's columns `data_source`, `reward_model.ground_truth` and `extra_info` are passed as verl
does it. Without them ground_truth is the reference answer, extra_info has all columns, and data_source is
--data-source. The score is the number that is returned, or the dict's "score"; its "acc", if there, is the
verdict and its "pred" the answer that was found.

TRL: the function gets lists of one element: the prompt, the completion and each column of the record.
With --conversational a completion is a list of messages. None is a refusal.
"""

import argparse
import importlib.util
import inspect
import pathlib
import sys

from reckon_reward import serve


def load(path):
    path = pathlib.Path(path).resolve()
    sys.path.insert(0, str(path.parent))  # for what it imports beside itself
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def verl_arguments(request, data_source):
    columns = request["columns"]
    reward_model = columns.get("reward_model")
    truth = reward_model.get("ground_truth") if isinstance(reward_model, dict) else None
    return {"data_source": columns.get("data_source", data_source),
            "solution_str": request["completion"],
            "ground_truth": request["reference"] if truth is None else truth,
            "extra_info": columns.get("extra_info", columns)}


def from_verl(result):
    if not isinstance(result, dict):
        return {"value": result}
    reply = {"value": result["score"]}
    if "acc" in result:
        reply["verdict"] = "correct" if result["acc"] else "wrong"
    if result.get("pred") is not None:
        reply["extracted"] = str(result["pred"])
    return reply


def verl(function, data_source):
    async def score(request):
        result = function(**verl_arguments(request, data_source))
        return from_verl(await result if inspect.isawaitable(result) else result)
    return score


def trl(function, conversational):
    async def score(request):
        completion = request["completion"]
        if conversational:
            completion = [{"role": "assistant", "content": completion}]
        lists = {name: [value] for name, value in request["columns"].items()}
        lists.update(prompts=[request["prompt"]], completions=[completion])
        result = function(**lists)
        value = (await result if inspect.isawaitable(result) else result)[0]
        return {"error": "the function returned None"} if value is None else {"value": value}
    return score


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--name", default="compute_score", help="verl's function; default: %(default)s")
    parser.add_argument("--data-source", default="reckon", help="where the data has no such column")
    parser.add_argument("--trl", metavar="NAME", help="a function of TRL's reward_funcs")
    parser.add_argument("--conversational", action="store_true", help="TRL: completions as messages")
    options = parser.parse_args()
    module = load(options.file)
    if options.trl is not None:
        serve(trl(getattr(module, options.trl), options.conversational))
    else:
        serve(verl(getattr(module, options.name), options.data_source))


if __name__ == "__main__":
    main()
