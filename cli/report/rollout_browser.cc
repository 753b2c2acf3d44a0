#include "cli/report/rollout_browser.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/report/rollout_json.h"

namespace reckon {
namespace {

using BrowserJson = nlohmann::ordered_json;

// The distinct texts of tokens, in the order in which they first appear.
class TextTable {
 public:
  size_t IndexOf(const std::string& text) {
    const auto [at, added] = index_.try_emplace(text, texts_.size());
    if (added) texts_.push_back(text);
    return at->second;
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::map<std::string, size_t> index_;
  std::vector<std::string> texts_;
};

std::string PromptOf(const Rollout& rollout, const Tokenizer& tokenizer) {
  std::vector<uint32_t> prompt;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::PROMPT) continue;
    prompt.insert(prompt.end(), span.tokens().begin(), span.tokens().end());
  }
  return tokenizer.Decode(prompt, /*skip_special=*/false);
}

BrowserJson RolloutData(const Rollout& rollout, const Tokenizer& tokenizer, TextTable* texts) {
  std::vector<uint32_t> tokens;
  BrowserJson logprobs = BrowserJson::array();
  uint64_t version = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    if (span.kind() == TokenSpan::SAMPLED) version = span.weight_version();
    for (int i = 0; i < span.tokens_size(); ++i) {
      tokens.push_back(span.tokens(i));
      const bool has = i < span.logprobs_size() && std::isfinite(span.logprobs(i));
      logprobs.push_back(has ? BrowserJson(std::lround(1000 * span.logprobs(i))) : BrowserJson());
    }
  }
  BrowserJson indices = BrowserJson::array();
  for (const std::string& text : TokenTexts(tokens, tokenizer)) {
    indices.push_back(texts->IndexOf(text));
  }
  BrowserJson rewards = BrowserJson::array();
  for (const RewardValue& reward : rollout.rewards()) {
    BrowserJson steps = BrowserJson::array();
    for (const StepValue& step : reward.steps()) steps.push_back({step.token(), step.value()});
    rewards.push_back({{"name", reward.name()},
                       {"value", reward.value()},
                       {"verdict", absl::AsciiStrToLower(Verdict_Name(reward.verdict()))},
                       {"extracted", reward.extracted()},
                       {"steps", std::move(steps)}});
  }
  return {{"sample", rollout.key().sample()}, {"version", version},
          {"actor", rollout.actor()},         {"finish", FinishOf(rollout)},
          {"reward", rollout.reward()},       {"verdict", VerdictOf(rollout)},
          {"rewards", std::move(rewards)},    {"tokens", std::move(indices)},
          {"logprobs", std::move(logprobs)}};
}

}  // namespace

std::string BrowserData(const std::vector<SampledPlan>& plans, const Tokenizer& tokenizer) {
  TextTable texts;
  BrowserJson all = BrowserJson::array();
  for (const SampledPlan& plan : plans) {
    BrowserJson groups = BrowserJson::array();
    for (const std::vector<Rollout>& group : plan.groups) {
      BrowserJson rollouts = BrowserJson::array();
      for (const Rollout& rollout : group) {
        rollouts.push_back(RolloutData(rollout, tokenizer, &texts));
      }
      groups.push_back({{"group", group[0].key().group()},
                        {"prompt", PromptOf(group[0], tokenizer)},
                        {"rollouts", std::move(rollouts)}});
    }
    all.push_back({{"name", plan.name}, {"samples", plan.samples}, {"groups", std::move(groups)}});
  }
  const BrowserJson data = {{"plans", std::move(all)}, {"texts", texts.texts()}};
  return data.dump(-1, ' ', false, BrowserJson::error_handler_t::replace);
}

std::string BrowserScriptData(const std::vector<std::string>& labels,
                              const std::vector<std::string>& runs) {
  const std::string names =
      BrowserJson(labels).dump(-1, ' ', false, BrowserJson::error_handler_t::replace);
  const std::string json =
      absl::StrCat("{\"labels\":", names, ",\"runs\":[", absl::StrJoin(runs, ","), "]}");
  // No text in it can end the element.
  return absl::StrCat("<script type=\"application/json\" id=\"data\">",
                      absl::StrReplaceAll(json, {{"<", "\\u003c"}}), "</script>");
}

const char kBrowserHtml[] = R"html(
<h2>Rollouts</h2>
<p id="left-out" class="soft"></p>
<form id="filter">
<label>plan <select name="plan"></select></label>
<label>verdict <select name="verdict"></select></label>
<label>reward <span class="pair"><input name="low" type="number" step="any" placeholder="from"><input name="high" type="number" step="any" placeholder="to"></span></label>
<label>tokens <span class="pair"><input name="short" type="number" min="0" placeholder="from"><input name="long" type="number" min="0" placeholder="to"></span></label>
<label class="grow">text <input name="text" type="search" placeholder="in prompt or completion"></label>
<label>order <select name="order"><option value="">as sampled</option><option value="reward">reward, highest first</option><option value="-reward">reward, lowest first</option><option value="-length">longest first</option><option value="logprob">least likely first</option></select></label>
</form>
<p id="found" class="soft" role="status"></p>
<div class="browser"><div id="list"></div><div id="one" aria-live="polite"></div></div>
)html";

const char kBrowserStyle[] = R"css(
.first-text td,.first-text th{text-align:left;vertical-align:top}
.first-text td{white-space:normal;min-width:8ch}
form{display:flex;flex-wrap:wrap;gap:8px 12px;margin:8px 0}
label{display:flex;flex-direction:column;font-size:13px;color:var(--soft);min-width:0}
label.grow{flex:1 1 180px}
.pair{display:flex;gap:4px}.pair input{width:76px}
select,input,button{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:5px 8px;min-width:0;max-width:100%}
.browser{display:grid;grid-template-columns:minmax(260px,2fr) minmax(0,5fr);gap:14px;align-items:start}
#list{max-height:80vh;overflow-y:auto;border:1px solid var(--rule);border-radius:8px;background:var(--card)}
#list button{display:block;width:100%;text-align:left;border:0;border-bottom:1px solid var(--rule);border-radius:0;cursor:pointer;background:none}
#list button:hover,#list button:focus-visible{background:var(--code)}
#list button[aria-current=true]{background:var(--code);box-shadow:inset 3px 0 var(--c0)}
.key{font-size:12px;color:var(--soft);overflow-wrap:anywhere}
.cut{display:block;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.correct{color:var(--good)}.wrong,.truncated,.unparsable{color:var(--bad)}
.text{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 12px;margin:4px 0 12px;font:14px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.text.prompt{max-height:40vh;overflow-y:auto}
.text .t{border-radius:3px}
.text .forced{text-decoration:underline dotted}
.text .step{font-size:12px;border:1px solid var(--rule);border-radius:4px;padding:0 4px;margin:0 2px;background:var(--code)}
.siblings{display:flex;gap:10px;overflow-x:auto;padding-bottom:8px}
.siblings .sibling{flex:0 0 min(320px,80vw)}
.siblings .text{max-height:46vh;overflow-y:auto;font-size:13px}
.siblings button{cursor:pointer}
.siblings .chosen .text{border-color:var(--c0)}
.scale{display:inline-block;width:120px;height:10px;border-radius:3px;background:linear-gradient(90deg,transparent,rgba(214,82,20,.62));border:1px solid var(--rule);vertical-align:-1px}
.facts td:first-child{width:1%}
h3{font-size:16px;margin:4px 0}
.narrow .wide{max-width:640px}.narrow td:nth-child(2),.narrow th:nth-child(2){text-align:left}
.parts{display:flex;height:26px;border-radius:6px;overflow:hidden;background:var(--code);margin:4px 0 12px}
.part{display:block;height:100%}
.dot{display:inline-block;width:10px;height:10px;border-radius:2px}
.p0{background:var(--c0)}.p1{background:var(--c1)}.p2{background:var(--c2)}.p3{background:var(--c3)}.p4{background:var(--c4)}.p7{background:var(--c7)}
@media(max-width:820px){.browser{grid-template-columns:minmax(0,1fr)}#list{max-height:44vh}main{padding:14px 12px 48px}}
)css";

const char kBrowserScript[] = R"js(
'use strict';
(() => {
const $ = id => document.getElementById(id);
const form = $('filter');
const PAGE = 100;
let all = [], found = [], shown = 0, chosen = null;

// An element; children are elements or text.
function make(tag, kind, ...children) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  element.append(...children);
  return element;
}
const number = value => Number(value.toPrecision(4)).toString();
const count = value => value.toLocaleString('en-US');
const keyOf = r => r.plan + '/' + r.group.group + '/' + r.sample;
const verdictOf = r => make('span', r.verdict, r.verdict || 'no verdict');

// Rollouts of the data in one list; each knows its plan, its group and its text.
function flatten(runs, labels) {
  all = [];
  const notes = [];
  for (const [i, run] of runs.entries()) {
    if (!run) continue;
    const prefix = runs.length > 1 ? labels[i] + ': ' : '';
    let total = 0, here = 0;
    for (const plan of run.plans) {
      total += plan.samples;
      for (const group of plan.groups) {
        for (const r of group.rollouts) {
          r.run = run;
          r.plan = prefix + plan.name;
          r.group = group;
          r.text = r.tokens.map(t => run.texts[t]).join('');
          here += 1;
          all.push(r);
        }
      }
    }
    notes.push(prefix + (here < total
        ? count(here) + ' of ' + count(total) + ' rollouts are here, whole groups at equal distances in every plan; the rest was left out.'
        : 'All ' + count(total) + ' rollouts are here.'));
  }
  $('left-out').textContent = notes.join(' ') || 'No rollouts are stored.';
}

function options(select, values, every) {
  const before = select.value;
  select.replaceChildren(new Option(every, ''), ...values.map(v => new Option(v, v)));
  select.value = values.includes(before) ? before : '';
}

function mean(values) { return values.reduce((a, b) => a + b, 0) / values.length; }
function logprob(r) {
  const drawn = r.logprobs.filter(l => l !== null);
  return drawn.length ? mean(drawn) : 0;
}
const ORDERS = {
  'reward': (a, b) => b.reward - a.reward,
  '-reward': (a, b) => a.reward - b.reward,
  '-length': (a, b) => b.tokens.length - a.tokens.length,
  'logprob': (a, b) => logprob(a) - logprob(b),
};

function filter() {
  const f = form.elements, text = f.text.value.toLowerCase();
  const within = (value, low, high) =>
      (low.value === '' || value >= Number(low.value)) && (high.value === '' || value <= Number(high.value));
  found = all.filter(r =>
      (!f.plan.value || r.plan === f.plan.value) &&
      (!f.verdict.value || r.verdict === f.verdict.value) &&
      within(r.reward, f.low, f.high) && within(r.tokens.length, f.short, f.long) &&
      (!text || r.text.toLowerCase().includes(text) || r.group.prompt.toLowerCase().includes(text)));
  if (ORDERS[f.order.value]) found.sort(ORDERS[f.order.value]);
  const rewards = found.length ? ', mean reward ' + number(mean(found.map(r => r.reward))) : '';
  $('found').textContent = count(found.length) + ' of ' + count(all.length) + ' match' + rewards;
  shown = 0;
  $('list').replaceChildren();
  more();
}

function more() {
  const list = $('list');
  list.querySelector('.more')?.remove();
  for (const r of found.slice(shown, shown + PAGE)) {
    const button = make('button', '',
        make('span', 'cut key', keyOf(r)),
        make('span', 'cut', number(r.reward) + '  ', verdictOf(r), '  ' + r.tokens.length + ' tokens'),
        make('span', 'cut soft', r.text.trim().slice(0, 120)));
    button.type = 'button';
    button.onclick = () => choose(r);
    if (chosen && keyOf(chosen) === keyOf(r)) button.setAttribute('aria-current', 'true');
    r.button = button;
    list.append(button);
  }
  shown = Math.min(shown + PAGE, found.length);
  if (shown < found.length) {
    const button = make('button', 'more', 'show ' + Math.min(PAGE, found.length - shown) + ' more');
    button.type = 'button';
    button.onclick = more;
    list.append(button);
  }
}

// The completion, colored by log-probability, with what its steps earned.
function completion(r) {
  const box = make('div', 'text');
  const steps = new Map();
  for (const reward of r.rewards) {
    for (const [token, value] of reward.steps) {
      steps.set(token, [...(steps.get(token) || []), [reward.name, value]]);
    }
  }
  r.tokens.forEach((t, i) => {
    const l = r.logprobs[i], span = make('span', l === null ? 't forced' : 't', r.run.texts[t]);
    if (l !== null) {
      const p = Math.exp(l / 1000);
      span.style.background = 'rgba(214,82,20,' + (0.62 * Math.min(1, -l / 4000)).toFixed(3) + ')';
      span.title = 'log-probability ' + (l / 1000).toFixed(3) + ', probability ' + (100 * p).toPrecision(3) + ' %';
    } else {
      span.title = 'given, not sampled';
    }
    box.append(span);
    for (const [name, value] of steps.get(i) || []) {
      const badge = make('span', 'step', (value > 0 ? '+' : '') + number(value));
      badge.title = 'this step: ' + name;
      box.append(badge);
    }
  });
  return box;
}

function facts(r) {
  const group = r.group.rollouts.map(s => s.reward);
  const above = r.reward - mean(group);
  return [
    ['reward', number(r.reward) + (group.length > 1 ? ' (' + (above >= 0 ? '+' : '') + number(above) + ' against the mean of its group)' : '')],
    ...r.rewards.map(w => [w.name, number(w.value) + ', ' + w.verdict + (w.extracted ? ', found the answer ' + w.extracted : '')]),
    ['tokens', r.tokens.length + (r.finish === 'length' ? ', cut at the longest length' : '')],
    ['mean log-probability', (logprob(r) / 1000).toFixed(3)],
    ['weight version', r.version + ', by ' + r.actor],
  ];
}

function choose(r) {
  chosen?.button?.removeAttribute('aria-current');
  chosen = r;
  r.button?.setAttribute('aria-current', 'true');
  history.replaceState(null, '', '#' + encodeURIComponent(keyOf(r)));
  draw();
}

function draw() {
  const one = $('one'), r = chosen;
  if (!r) {
    one.replaceChildren(make('p', 'soft', all.length ? 'Choose a rollout.' : ''));
    return;
  }
  const table = make('table', '');
  for (const [name, value] of facts(r)) {
    const cell = make('td', 'text-cell', value);
    cell.style.whiteSpace = 'normal';
    cell.style.textAlign = 'left';
    table.append(make('tr', '', make('td', 'soft', name), cell));
  }
  const parts = [
    make('h3', '', 'Group ' + r.group.group + ', sample ' + r.sample + ' ', verdictOf(r)),
    make('p', 'key', 'key: ' + keyOf(r)),
    make('div', 'wide facts', table),
    make('h3', '', 'Prompt'), make('div', 'text prompt', r.group.prompt),
    make('h3', '', 'Completion'),
    make('p', 'soft', 'Color: log-probability of the token, 0 ', make('span', 'scale', ''), ' -4 and less. Point at a token for its number.'),
    completion(r),
  ];
  if (r.group.rollouts.length > 1) {
    const row = make('div', 'siblings');
    for (const s of r.group.rollouts) {
      const button = make('button', '', 'sample ' + s.sample);
      button.type = 'button';
      button.onclick = () => choose(s);
      row.append(make('div', s === r ? 'sibling chosen' : 'sibling',
          make('div', '', button, ' ' + number(s.reward) + ' ', verdictOf(s), ' ' + s.tokens.length + ' tokens'),
          completion(s)));
    }
    parts.push(make('h3', '', 'Its group'), row);
  }
  one.replaceChildren(...parts);
}

function use(runs, labels) {
  const before = chosen ? keyOf(chosen) : decodeURIComponent(location.hash.slice(1));
  flatten(runs, labels);
  options(form.elements.plan, [...new Set(all.map(r => r.plan))], 'all');
  options(form.elements.verdict, [...new Set(all.map(r => r.verdict))].filter(v => v).sort(), 'all');
  chosen = all.find(r => keyOf(r) === before) || all[0] || null;
  filter();
  draw();
}

form.addEventListener('input', filter);
form.addEventListener('submit', event => event.preventDefault());

if ($('data')) {
  const data = JSON.parse($('data').textContent);
  use(data.runs, data.labels);
  return;
}
// `reckon watch`: its server says what has changed.
const seen = {};
async function refresh(part, digest, apply) {
  if (seen[part] === digest) return;
  seen[part] = digest;
  const reply = await fetch(part);
  if (reply.ok) await apply(reply);
}
const events = new EventSource('events');
events.onmessage = async event => {
  const news = JSON.parse(event.data);
  $('live').textContent = news.line;
  await refresh('summary', news.summary, async reply => {
    // The server made it as it makes the report: every text in it is escaped.
    const open = [...document.querySelectorAll('#summary details')].map(d => d.open);
    $('summary').innerHTML = await reply.text();
    document.querySelectorAll('#summary details').forEach((d, i) => { d.open = open[i] || false; });
  });
  await refresh('rollouts', news.rollouts, async reply => use(await reply.json(), ['']));
};
events.onerror = () => { $('live').textContent = 'reckon watch does not answer'; };
})();
)js";

}  // namespace reckon
