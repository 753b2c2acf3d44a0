#include "common/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kYaml[] = R"(# A run.
name: 12            # a text without quotes
model: {path: m}
data:
  train: builtin
  answers: BOXED
  chat_template_kwargs: '{"enable_thinking": false}'
  set:
stage:
  - sft:
  - name: mine
    ei: {rounds: 3, threshold: 0.5, dedup: TEXT, keepTruncated: true}
slurm:
  setup: ["module load cuda", x]
)";

constexpr char kJson[] = R"({
  "name": "12",
  "model": {"path": "m"},
  "data": {"train": "builtin", "answers": 1, "set": null,
           "chatTemplateKwargs": "{\"enable_thinking\": false}"},
  "stage": [{"sft": {}},
            {"name": "mine",
             "ei": {"rounds": 3.0, "threshold": 5e-1, "dedup": "TEXT", "keep_truncated": true}}],
  "slurm": {"setup": ["module load cuda", "x"]}
})";

constexpr char kTextproto[] = R"(name: "12"
model { path: "m" }
data { train: "builtin" answers: BOXED chat_template_kwargs: "{\"enable_thinking\": false}" }
stage { sft {} }
stage { name: "mine" ei { rounds: 3 threshold: 0.5 dedup: TEXT keep_truncated: true } }
slurm { setup: ["module load cuda", "x"] })";

TEST(ConfigFileTest, TheThreeFormsSayTheSame) {
  const auto text = ParseConfig("c.textproto", kTextproto);
  ASSERT_TRUE(text.ok()) << text.status();
  for (const auto& [path, form] : {std::pair("c.yaml", kYaml), std::pair("c.json", kJson)}) {
    const auto config = ParseConfig(path, form);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->DebugString(), text->DebugString()) << path;
  }
}

TEST(ConfigFileTest, AByteOrderMarkIsSkipped) {
  const std::string mark = "\xef\xbb\xbf";
  const std::string plain = ParseConfig("c.textproto", kTextproto)->DebugString();
  for (const auto& [path, form] :
       {std::pair("c.yaml", kYaml), std::pair("c.json", kJson), std::pair("c", kTextproto)}) {
    const auto config = ParseConfig(path, mark + form);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->DebugString(), plain) << path;
  }
  const TempFolder folder;
  const std::string config = folder.path() + "/a.json";
  ASSERT_TRUE(WriteFileAtomically(config, mark + kJson).ok());
  EXPECT_TRUE(IsConfigFile(config));
}

TEST(ConfigFileTest, EveryFieldHasItsLine) {
  RunConfig config;
  ConfigLines yaml, json, text;
  ASSERT_TRUE(ParseConfigText("c.yml", kYaml, &config, &yaml).ok());
  EXPECT_EQ(yaml["stage[1].ei.rounds"], 12);
  EXPECT_EQ(yaml["stage[1]"], 11);
  EXPECT_EQ(yaml["slurm.setup[1]"], 14);
  ASSERT_TRUE(ParseConfigText("c.json", kJson, &config, &json).ok());
  EXPECT_EQ(json["stage[1].ei.rounds"], 8);
  EXPECT_EQ(json["data.answers"], 4);
  config.Clear();
  ASSERT_TRUE(ParseConfigText("c.textproto", kTextproto, &config, &text).ok());
  EXPECT_EQ(text["stage[1].ei.rounds"], 5);
}

TEST(ConfigFileTest, ErrorsNameFileLineColumnAndField) {
  const struct {
    const char *path, *text, *error;
  } kCases[] = {
      {"c.yaml", "name: a\nstage:\n  - ei: {round: 3}\n",
       "c.yaml:3:10: no field named 'round'; did you mean 'rounds'?"},
      {"c.yaml", "name: a\nname: b\n", "c.yaml:2:1: 'name' is given twice; delete one of them"},
      {"c.yaml", "stage:\n  - ei: {rounds: three}\n",
       "c.yaml:2:18: stage[0].ei.rounds: expected a whole number from 0, not 'three'"},
      {"c.yaml", "stage:\n  - ei: {rounds: -3}\n",
       "c.yaml:2:18: stage[0].ei.rounds: expected a whole number from 0, not '-3'"},
      {"c.yaml", "stage:\n  - {sft: {}, ei: {}}\n",
       "c.yaml:2:15: 'sft' and 'ei' are in one entry; write an entry for each"},
      {"c.yaml", "stage:\n  sft: {}\n", "c.yaml:2:3: stage: expected a list, not fields"},
      {"c.yaml", "model: m\n", "c.yaml:1:8: model: expected fields with their values, not 'm'"},
      {"c.yaml", "data: {answers: WORDS}\n",
       "c.yaml:1:17: data.answers: expected one of NUMBERS, BOXED, TEXT, not 'WORDS'"},
      {"c.yaml", "stage:\n - ei: {keep_truncated: yes}\n",
       "c.yaml:2:25: stage[0].ei.keep_truncated: expected true or false, not 'yes'"},
      {"c.yaml", "name: a\n  model: m\n", "c.yaml:2:8: mapping values are not allowed"},
      {"c.yaml", "name: \"a\n", "c.yaml:2:1: found unexpected end of stream"},
      {"c.yaml", "model: &a {path: m}\ndata: *a\n", "c.yaml:2:7: an alias (*) is not accepted"},
      {"c.yaml", "name: !!str 5\n", "c.yaml:1:7: a tag (!) is not accepted"},
      {"c.yaml", "? [a]\n: b\n", "c.yaml:1:3: a key must be the name of a field"},
      {"c.yaml", "name: a\n---\nname: b\n", "c.yaml:2:1: a config is one document"},
      {"c.yaml", "- a\n", "c.yaml:1:1: expected fields with their values, not a list"},
      {"c.yaml", "name: \xff\n", "c.yaml:1:"},
      {"c.json", "{\"name\": \"a\",\n \"nam\": 1}", "c.json:2:2: no field named 'nam'"},
      {"c.json", "{\"name\": 5}", "c.json:1:10: name: expected a text in quotes, not '5'"},
      {"c.json", "{\"stage\": [\n {\"ei\": {\"rounds\":\n 1.5}}]}",
       "c.json:3:2: stage[0].ei.rounds: expected a whole number from 0, not '1.5'"},
      {"c.json", "{\"seed\": 18446744073709551616}", "c.json:1:10: seed: expected a whole number"},
      {"c.json", "{\"name\": \"a\",\n\n}", "c.json:3:1: "},
      {"c.json", "{\"name\": \"a\"} x", "c.json:1:15: "},
      {"c.json", "{\"name\": \"a\" // no\n}", "c.json:1:14: "},
      {"c.json", "", "c.json:1:1: "},
      {"c.json", "[1, 2]", "c.json:1:1: expected fields with their values, not a list"},
      {"c.json", "{\"name\": \"a\", \"name\": \"b\"}", "c.json:1:15: 'name' is given twice"},
  };
  for (const auto& [path, text, error] : kCases) {
    const absl::Status status = ParseConfig(path, text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), StartsWith(error)) << text;
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
  }
}

TEST(ConfigFileTest, DeepFilesAreRefused) {
  const std::string open(200000, '['), braces = "{\"a\":";
  std::string objects;
  for (int i = 0; i < 50000; ++i) objects += braces;
  for (const char* path : {"c.yaml", "c.json"}) {
    for (const std::string& text : {open, objects}) {
      EXPECT_THAT(std::string(ParseConfig(path, text).status().message()),
                  HasSubstr("more than 32 values inside one another"))
          << path;
    }
  }
}

TEST(ConfigFileTest, ABaseMayHaveAnotherForm) {
  const TempFolder folder;
  const std::string base = folder.path() + "/base.yaml", over = folder.path() + "/run.json";
  ASSERT_TRUE(WriteFileAtomically(base,
                                  "name: 12\nmodel: {path: m}\ndata: {train: builtin}\n"
                                  "stage:\n  - sft:\n  - ei: {rounds: 3}\n")
                  .ok());
  ASSERT_TRUE(WriteFileAtomically(over, R"({"base": "base.yaml", "seed": "7"})").ok());
  const auto config = LoadConfig(over, {"stage[1].ei.rounds=4"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->seed(), 7u);
  EXPECT_EQ(config->name(), "12");
  EXPECT_EQ(config->stage(1).ei().rounds(), 4u);
}

TEST(ConfigFileTest, AJsonFileIsAConfigIfItIsAnObject) {
  const TempFolder folder;
  const std::string config = folder.path() + "/a.json", data = folder.path() + "/b.json";
  ASSERT_TRUE(WriteFileAtomically(config, " \n{}").ok());
  ASSERT_TRUE(WriteFileAtomically(data, "\n[{}]").ok());
  EXPECT_TRUE(IsConfigFile(config));
  EXPECT_FALSE(IsConfigFile(data));
  EXPECT_FALSE(IsConfigFile(folder.path() + "/none.json"));
  EXPECT_TRUE(IsConfigFile("x.yml") && IsConfigFile("x.textproto"));
  EXPECT_FALSE(IsConfigFile("x.jsonl") || IsConfigFile("builtin"));
}

}  // namespace
}  // namespace reckon
