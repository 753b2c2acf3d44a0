#include "common/config/textproto.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/printable.h"
#include "common/config/fields.h"
#include "google/protobuf/io/tokenizer.h"

namespace reckon {
namespace {

constexpr int kMaxDepth = 32;  // of nested messages; a hostile file must not exhaust the stack

// Keeps the first error as "file:line:column: message". An unknown field gets a suggestion.
class FirstErrorInFile : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstErrorInFile(const std::string& path) : path_(path) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!text.empty()) return;
    text = absl::StrCat(path_, ":", line + 1, ":", column + 1, ": ",
                        Printable(Readable(message), 300));
  }

  std::string text;

 private:
  // Rewrites protobuf's messages in terms of config files.
  static std::string Readable(const std::string& message) {
    std::vector<std::string> quoted = absl::StrSplit(message, '"');
    if (quoted.size() >= 4 && absl::StrContains(message, "has no field named")) {
      const auto* type =
          google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(quoted[1]);
      return absl::StrCat("no field named '", Printable(quoted[3]), "'",
                          type == nullptr ? "" : SuggestField(*type, quoted[3]));
    }
    if (quoted.size() >= 2 && absl::StrContains(message, "is specified multiple times")) {
      return absl::StrCat("'", quoted[1], "' is given twice; delete one of them");
    }
    if (quoted.size() >= 6 && absl::StrContains(message, "another member of oneof")) {
      return absl::StrCat("'", quoted[1], "' and '", quoted[3],
                          "' are in one entry; write an entry for each");
    }
    return Printable(absl::StrReplaceAll(message, {{"reckon.", ""}, {"\n", " "}}), 200);
  }

  std::string path_;
};

}  // namespace

absl::Status ParseTextproto(const std::string& path, const std::string& text,
                            google::protobuf::Message* message,
                            google::protobuf::TextFormat::ParseInfoTree* locations) {
  FirstErrorInFile error(path);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxDepth);
  if (locations != nullptr) parser.WriteLocationsTo(locations);
  if (parser.ParseFromString(text, message)) return absl::OkStatus();
  return absl::InvalidArgumentError(error.text.empty() ? path + ": is not a textproto"
                                                       : error.text);
}

}  // namespace reckon
