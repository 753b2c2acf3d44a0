#include "common/config/override.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/config/fields.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class FirstMessage : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string& message) override {
    if (text.empty()) text = message;
  }
  std::string text;
};

template <typename... T>
absl::Status Invalid(const T&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

std::string ValuesOf(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  return absl::StrJoin(names, ", ");
}

// "rounds" or "stage[0]"; index -1 without brackets.
bool ParseSegment(absl::string_view segment, std::string* name, int* index) {
  *index = -1;
  size_t bracket = segment.find('[');
  if (bracket == absl::string_view::npos) {
    *name = std::string(segment);
    return !name->empty();
  }
  *name = std::string(segment.substr(0, bracket));
  absl::string_view number = segment.substr(bracket + 1);
  if (number.empty() || number.back() != ']') return false;
  number.remove_suffix(1);
  return absl::SimpleAtoi(number, index) && *index >= 0 && !name->empty();
}

// The message that a segment of the path leads to.
absl::StatusOr<Message*> Enter(Message* message, const FieldDescriptor* field, int index) {
  const auto* reflection = message->GetReflection();
  const std::string& name = field->name();
  if (field->is_repeated()) {
    const int size = reflection->FieldSize(*message, field);
    if (index < 0) return Invalid("'", name, "' is a list; choose an entry, as in ", name, "[0]");
    // What resolves to one default entry, as a list of rewards, can be changed so.
    if (size == 0 && index == 0) return reflection->AddMessage(message, field);
    if (index >= size) {
      return Invalid("'", name, "' has ", size, " entries and no ", name, "[", index,
                     "]; the first is ", name, "[0]");
    }
    return reflection->MutableRepeatedMessage(message, field, index);
  }
  if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr) {
    const FieldDescriptor* set = reflection->GetOneofFieldDescriptor(*message, oneof);
    if (set != nullptr && set != field) {
      return Invalid("this entry is of kind '", set->name(), "', not '", name, "'");
    }
  }
  return reflection->MutableMessage(message, field);
}

absl::Status SetValue(std::string value, const FieldDescriptor* field, Message* message) {
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    message->GetReflection()->SetString(message, field, value);
    return absl::OkStatus();
  }
  const bool is_enum = field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
  if (is_enum) value = absl::AsciiStrToUpper(value);
  FirstMessage error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.ParseFieldValueFromString(value, field, message)) return absl::OkStatus();
  if (is_enum) return Invalid("'", value, "' is not one of ", ValuesOf(*field->enum_type()));
  return Invalid("cannot read '", value, "' as ", field->cpp_type_name(), ": ", error.text);
}

absl::Status Apply(absl::string_view path, std::string value, Message* message) {
  const std::vector<absl::string_view> segments = absl::StrSplit(path, '.');
  for (size_t i = 0; i < segments.size(); ++i) {
    std::string name;
    int index;
    if (!ParseSegment(segments[i], &name, &index)) {
      return Invalid("'", segments[i], "' is not a field, nor a field with [index]");
    }
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) {
      return Invalid("no field named '", name, "'", SuggestField(*message->GetDescriptor(), name));
    }
    if (index >= 0 && !field->is_repeated()) return Invalid("'", name, "' is not a list");
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      ASSIGN_OR_RETURN(message, Enter(message, field, index));
    } else if (field->is_repeated()) {
      return Invalid("a list of plain values can only be set in the config file");
    } else if (i + 1 < segments.size()) {
      return Invalid("'", name, "' is a plain value and has no fields");
    } else {
      return SetValue(std::move(value), field, message);
    }
  }
  return Invalid("is a group of fields, not a value", SuggestField(*message->GetDescriptor(), ""));
}

}  // namespace

absl::Status ApplyOverride(absl::string_view assignment, Message* config) {
  const size_t equals = assignment.find('=');
  const absl::string_view path = absl::StripAsciiWhitespace(assignment.substr(0, equals));
  if (equals == absl::string_view::npos) {
    return Invalid("--set ", path, ": expected KEY=VALUE, as in --set seed=5");
  }
  std::string value(absl::StripAsciiWhitespace(assignment.substr(equals + 1)));
  const absl::Status status = Apply(path, std::move(value), config);
  return status.ok() ? status : Invalid("--set ", path, ": ", status.message());
}

}  // namespace reckon
