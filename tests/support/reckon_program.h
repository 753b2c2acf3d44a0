#ifndef RECKON_TESTS_SUPPORT_RECKON_PROGRAM_H_
#define RECKON_TESTS_SUPPORT_RECKON_PROGRAM_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/files.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "tests/support/tiny_model.h"

namespace reckon {

// The program as a user runs it: real `reckon` and coordinator, the other roles as scripts. For
// tests whose targets define RECKON_BINARY and RECKON_COORDINATOR.
class ReckonTest : public ::testing::Test {
 protected:
  // A loaded machine must not fail a test; one that passes never waits so long.
  static constexpr absl::Duration kLong = absl::Minutes(3);
  static bool Await(const std::function<bool()>& condition) {
    return reckon::Await(condition, kLong);
  }

  struct Result {
    int code;
    std::string out;  // stdout and stderr
  };

  void SetUp() override {
    std::filesystem::create_directories(folder_ + "/bin");
    ASSERT_TRUE(WriteTinyModel(folder_ + "/model").ok());
    std::filesystem::create_symlink(RECKON_COORDINATOR, folder_ + "/bin/reckon-coordinator");
    Script("reckon-actor", "exec sleep 100");
    ::setenv("RECKON_PROGRAMS", (folder_ + "/bin").c_str(), 1);
    Write("config.textproto", absl::StrCat(R"(name: "r" output_dir: ")", folder_,
                                           R"(/runs" model { path: ")", folder_, R"(/model" }
      data { train: "builtin" builtin { train_problems: 8 eval_problems: 4 } }
      eval { samples: 2 } stage { sft {} } stage { ei { rounds: 2 } })"));
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }

  // A role that is a shell script; $run is the run directory.
  void Script(const std::string& program, const std::string& text) {
    std::string path = absl::StrCat(folder_, "/bin/", program);
    std::ofstream(path) << "#!/bin/sh\nrun=" << folder_ << "/runs/r\n" << text << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  Result Run(const std::string& args) { return Call(absl::StrCat(RECKON_BINARY, " ", args)); }

  static Result Call(const std::string& command) {
    FILE* pipe = ::popen(absl::StrCat(command, " 2>&1 </dev/null").c_str(), "r");
    Result result;
    char buffer[4096];
    while (size_t n = ::fread(buffer, 1, sizeof(buffer), pipe)) result.out.append(buffer, n);
    result.code = WEXITSTATUS(::pclose(pipe));
    return result;
  }

  std::string Text(const std::string& name) {
    auto text = ReadFile(folder_ + "/" + name);
    return text.ok() ? *text : "";
  }

  // Progress as the learner writes it.
  static std::string Finished(const std::string& lines) {
    return absl::StrCat("cat > $run/progress.json <<'END'\n{\"phase\": \"sft\", \"done\": 2, ",
                        "\"total\": 2, \"unit\": \"steps\", \"lines\": [", lines,
                        "], \"finished\": true}\nEND");
  }

  std::string config() const { return folder_ + "/config.textproto"; }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_RECKON_PROGRAM_H_
