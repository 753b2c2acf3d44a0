#include "common/task/dataset/dataset.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/printable.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/task/builtin/builtin.h"
#include "common/task/dataset/data_files.h"
#include "common/task/dataset/mixture.h"
#include "common/task/dataset/problem_reader.h"
#include "common/task/dataset/record_reader.h"

namespace reckon {
namespace {

constexpr absl::string_view kBuiltin = "builtin";
constexpr size_t kShownAnswers = 8;  // in a note

absl::Status BadData(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Whether a problem is in the validation split; see LoadDataset.
bool HeldOut(const DataSettings& data, const Problem& problem) {
  std::string asked = problem.messages.size() > 1 ? "" : problem.question;
  if (asked.empty()) {
    for (const ChatMessage& message : problem.messages) asked += message.content + "\n";
  }
  const uint64_t key = StreamKey(data.validation_seed(), asked);
  return CounterRng(key).Uniform(0) < data.validation_fraction();
}

// What a split is read from.
struct Source {
  std::string path, setting;
  std::string path_setting;  // that names the path: data.train also for problems held out of it
  bool train = false;
  std::optional<bool> held_out;  // only these problems of the file
  uint64_t limit = std::numeric_limits<uint64_t>::max();
  AnswerUse use = AnswerUse::kCompared;
  std::string set;  // of a mixture, its name; else empty
};

// Reads the problems of one split.
class SplitReader {
 public:
  SplitReader(const DataSettings& data, const Source& source) : data_(data), source_(source) {}

  absl::StatusOr<Dataset> Read() && {
    absl::StatusOr<std::vector<std::string>> files = DataFiles(source_.path);
    if (!files.ok()) return InSetting(files.status());
    for (const std::string& file : *files) RETURN_IF_ERROR(ReadFile(file));
    if (records_ == 0) return BadData(absl::StrCat(source_.path, ": there are no problems in it"));
    RETURN_IF_ERROR(CheckBadRecords());
    RETURN_IF_ERROR(CheckEquations());
    if (out_.problems.empty()) {
      return BadData(absl::StrCat("data.validation_fraction: ", data_.validation_fraction(), " of ",
                                  source_.path, " leaves no problems for ", source_.setting));
    }
    RETURN_IF_ERROR(CheckUndecided());
    return std::move(out_);
  }

 private:
  absl::Status ReadFile(const std::string& path) {
    absl::StatusOr<std::unique_ptr<RecordReader>> reader = OpenRecords(path);
    if (!reader.ok()) return InSetting(reader.status());
    while (out_.problems.size() < source_.limit) {
      const absl::StatusOr<std::optional<Record>> record = (*reader)->Next();
      if (!record.ok()) return Broken(record.status());
      if (!record->has_value()) break;
      ++records_;
      Add(path, **record);
    }
    return absl::OkStatus();
  }

  absl::Status InSetting(const absl::Status& status) const {
    return absl::Status(status.code(), absl::StrCat(source_.setting, ": ", status.message()));
  }

  // What follows in the file cannot be read, so there is nothing that could be left out.
  absl::Status Broken(const absl::Status& status) const {
    if (out_.left_out.empty()) return status;
    return absl::Status(status.code(), absl::StrCat(status.message(), "; ", out_.left_out.count(),
                                                    " before it are bad\n",
                                                    absl::StrJoin(out_.left_out.Lines(), "\n")));
  }

  void Add(const std::string& path, const Record& record) {
    const auto problem = record.status.ok() ? ReadProblem(data_, record.fields, source_.use)
                                            : absl::StatusOr<Problem>(record.status);
    if (!problem.ok()) {
      out_.left_out.Add(absl::StrCat(path, ":", record.line), problem.status().message());
      return;
    }
    if (source_.held_out.has_value() && HeldOut(data_, *problem) != *source_.held_out) return;
    Problem& added = out_.problems.emplace_back(*problem);
    added.set = source_.set;
    added.source = absl::StrCat(source_.set, source_.set.empty() ? "" : "/",
                                std::filesystem::path(path).filename().string(), ":", record.line);
    // Nothing is learned from a wrong label; published results are counted over all of a test file.
    if (source_.train && HasEquation(record.fields) && added.solution.empty()) {
      contradicted_.push_back(added.source);
      out_.problems.pop_back();
    } else if (source_.use == AnswerUse::kCompared && !IsDecidable(data_.answers(), added.answer)) {
      undecided_.push_back(absl::StrCat(added.source, " \"", Printable(added.answer, 40), "\""));
    }
  }

  absl::Status CheckBadRecords() {
    const BadRecords& bad = out_.left_out;
    if (bad.empty()) return absl::OkStatus();
    const std::string summary = absl::StrCat(source_.path_setting, ": ", bad.count(), " of ",
                                             records_, " records of ", source_.path, " are bad");
    if (bad.count() == records_) {
      return bad.Refuse(summary, "the file has no other record");
    }
    if (data_.bad_records() == DataSettings::Bad::REFUSE) {
      return bad.Refuse(summary, "correct the data, or set data.bad_records: LEAVE_OUT");
    }
    // Of a file that is both splits the records are named once.
    if (source_.held_out.value_or(false)) return absl::OkStatus();
    out_.notes.push_back(summary + " and left out");
    for (std::string& line : bad.Lines()) out_.notes.push_back(std::move(line));
    return absl::OkStatus();
  }

  absl::Status CheckEquations() {
    if (contradicted_.empty()) return absl::OkStatus();
    if (contradicted_.size() > out_.problems.size() / 20) {
      return BadData(absl::StrCat(contradicted_.front(),
                                  ": the equation does not give the answer, here and in ",
                                  contradicted_.size() - 1, " more problems"));
    }
    out_.notes.push_back(absl::StrCat(
        source_.path, ": ", contradicted_.size(),
        " left out, because equation and answer differ: ", absl::StrJoin(contradicted_, ", ")));
    return absl::OkStatus();
  }

  absl::Status CheckUndecided() {
    if (undecided_.empty()) return absl::OkStatus();
    const size_t count = undecided_.size(), all = out_.problems.size();
    const bool numbers = data_.answers() == DataSettings::NUMBERS;
    if (numbers && count == all) {
      return BadData(absl::StrCat(
          source_.path, ":1: none of the ", all,
          " answers is a number or ends in \"#### N\", so no completion could "
          "ever be right (data.answer_key is \"",
          data_.answer_key(),
          "\"; data.answers: BOXED or TEXT takes others); the first: ", undecided_.front()));
    }
    undecided_.resize(std::min(count, kShownAnswers));
    out_.notes.push_back(
        absl::StrCat(source_.path, ": ", count, " of ", all,
                     numbers ? " answers are no number as a whole, so no completion is right there "
                             : " answers cannot be compared, so only the same text is right there ",
                     "(verdict reference_unparsable): ", absl::StrJoin(undecided_, ", "),
                     count > kShownAnswers ? ", ..." : ""));
    return absl::OkStatus();
  }

  const DataSettings& data_;
  const Source& source_;
  uint64_t records_ = 0;  // with those that are bad
  Dataset out_;
  std::vector<std::string> contradicted_, undecided_;  // where they are
};

// One set: the whole data, or one of a mixture, whose name and settings are given.
absl::StatusOr<Dataset> LoadSet(const DataSettings& data, Split split, AnswerUse use,
                                const std::string& prefix, const std::string& name) {
  const bool train = split == Split::kTrain;
  const bool hold_out = data.eval().empty() && data.validation_fraction() > 0;
  Source source{.path = train ? data.train() : data.eval(),
                .setting = prefix + (train ? ".train" : ".eval"),
                .path_setting = prefix + (train || hold_out ? ".train" : ".eval"),
                .train = train,
                .set = name};
  // The generator has both splits; a file has one split, unless a part of it is held out.
  if (source.path.empty() && !train && (hold_out || data.train() == kBuiltin)) {
    source.path = data.train();
  }
  if (source.path.empty()) {
    return absl::NotFoundError(absl::StrCat(source.setting, " is not set; set it to a file (",
                                            absl::StrJoin(DataExtensions(), ", "),
                                            "), a folder or to builtin"));
  }
  if (hold_out) source.held_out = !train;
  source.use = use;
  if (train && data.limit_train() > 0) source.limit = data.limit_train();
  if (source.path == kBuiltin) {
    const uint64_t count = train ? data.builtin().train_problems() : data.builtin().eval_problems();
    Dataset generated;
    ASSIGN_OR_RETURN(generated.problems,
                     MakeBuiltinProblems(data.builtin(), split, std::min(count, source.limit)));
    for (Problem& problem : generated.problems) problem.set = name;
    return generated;
  }
  return SplitReader(data, source).Read();
}

// The settings of the data, with those of the set in their place.
DataSettings SettingsOf(DataSettings data, const MixtureSet& set) {
  data.clear_set();
  data.clear_limit_train();  // is that of the mixture
  if (set.has_train()) data.set_train(set.train());
  if (set.has_eval()) data.set_eval(set.eval());
  if (set.has_question_key()) data.set_question_key(set.question_key());
  if (set.has_answer_key()) data.set_answer_key(set.answer_key());
  if (set.has_body_key()) data.set_body_key(set.body_key());
  return data;
}

absl::StatusOr<Dataset> LoadMixture(const DataSettings& data, Split split, AnswerUse use) {
  const bool train = split == Split::kTrain;
  Dataset all;
  std::vector<std::vector<Problem>> sets;
  std::vector<double> shares;
  std::vector<std::string> sizes;
  absl::Status refused;
  for (int i = 0; i < data.set_size(); ++i) {
    const MixtureSet& set = data.set(i);
    const DataSettings settings = SettingsOf(data, set);
    // A set may be for one split alone.
    if (train ? settings.train().empty()
              : settings.eval().empty() && settings.train() != kBuiltin &&
                    (settings.train().empty() || settings.validation_fraction() == 0)) {
      continue;
    }
    absl::StatusOr<Dataset> read =
        LoadSet(settings, split, use, absl::StrCat("data.set[", i, "]"), set.name());
    refused = BothRefusals(refused, read.status());
    if (!read.ok()) continue;
    all.left_out.Append(read->left_out);
    for (std::string& note : read->notes) all.notes.push_back(std::move(note));
    sizes.push_back(absl::StrCat(set.name(), " ", read->problems.size()));
    const bool by_share = train && set.share() > 0;
    shares.push_back(by_share ? set.share() : static_cast<double>(read->problems.size()));
    sets.push_back(std::move(read->problems));
  }
  RETURN_IF_ERROR(refused);
  all.notes.push_back(absl::StrCat(train ? "training" : "evaluation",
                                   " problems by set: ", absl::StrJoin(sizes, ", ")));
  std::vector<size_t> counts;
  for (const std::vector<Problem>& set : sets) counts.push_back(set.size());
  for (const SetPlace& place : InterleaveSets(shares, counts)) {
    if (train && data.limit_train() > 0 && all.problems.size() == data.limit_train()) break;
    all.problems.push_back(std::move(sets[place.set][place.index]));
  }
  return all;
}

}  // namespace

absl::StatusOr<Dataset> LoadDataset(const DataSettings& data, Split split, AnswerUse use) {
  if (data.set_size() > 0) return LoadMixture(data, split, use);
  return LoadSet(data, split, use, "data", "");
}

}  // namespace reckon
