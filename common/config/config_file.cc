#include "common/config/config_file.h"

#include <fstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/json_tree.h"
#include "common/config/textproto.h"
#include "common/config/yaml_tree.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
constexpr std::streamsize kLookedAt = 4096;  // bytes of a .json file, for what it begins with

using Locations = google::protobuf::TextFormat::ParseInfoTree;

bool IsYaml(const std::string& path) {
  return absl::EndsWith(path, ".yaml") || absl::EndsWith(path, ".yml");
}

bool IsJson(const std::string& path) { return absl::EndsWith(path, ".json"); }

// Records the line of every field and entry of `message`.
void CollectLines(const Message& message, const Locations& locations, const std::string& prefix,
                  ConfigLines* lines) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int size = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      const int index = field->is_repeated() ? i : -1;
      std::string path = prefix + field->name();
      if (field->is_repeated()) absl::StrAppend(&path, "[", i, "]");
      (*lines)[path] = locations.GetLocation(field, index).line + 1;
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      const Locations* nested = locations.GetTreeForNested(field, index);
      if (nested == nullptr) continue;
      CollectLines(field->is_repeated()
                       ? message.GetReflection()->GetRepeatedMessage(message, field, i)
                       : message.GetReflection()->GetMessage(message, field),
                   *nested, path + ".", lines);
    }
  }
}

}  // namespace

absl::Status ParseConfigText(const std::string& path, const std::string& content, Message* message,
                             ConfigLines* lines) {
  const std::string text(WithoutByteOrderMark(content));
  if (IsYaml(path)) {
    ASSIGN_OR_RETURN(const ConfigNode root, ReadYamlTree(path, text));
    return FillFromTree(path, root, /*plain_strings=*/true, message, lines);
  }
  if (IsJson(path)) {
    ASSIGN_OR_RETURN(const ConfigNode root, ReadJsonTree(path, text));
    return FillFromTree(path, root, /*plain_strings=*/false, message, lines);
  }
  Locations locations;
  RETURN_IF_ERROR(ParseTextproto(path, text, message, &locations));
  if (lines != nullptr) CollectLines(*message, locations, "", lines);
  return absl::OkStatus();
}

bool IsConfigFile(const std::string& path) {
  if (!IsJson(path)) return IsYaml(path) || absl::EndsWith(path, ".textproto");
  std::ifstream file(path, std::ios::binary);
  std::string begin(kLookedAt, '\0');
  file.read(begin.data(), kLookedAt);
  begin.resize(file.gcount());
  const absl::string_view text = WithoutByteOrderMark(begin);
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "{");
}

}  // namespace reckon
