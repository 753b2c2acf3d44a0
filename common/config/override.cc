#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config/config_steps.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

class FirstMessage : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string& message) override {
    if (text.empty()) text = message;
  }
  std::string text;
};

std::string EnumValues(const EnumDescriptor& type) {
  std::string out;
  for (int i = 0; i < type.value_count(); ++i) {
    absl::StrAppend(&out, i == 0 ? "" : ", ", type.value(i)->name());
  }
  return out;
}

// "rounds" or "stage[0]"; index -1 when there is none.
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

}  // namespace

absl::Status ApplyOverride(absl::string_view assignment, Message* config) {
  size_t equals = assignment.find('=');
  absl::string_view path = absl::StripAsciiWhitespace(assignment.substr(0, equals));
  auto invalid = [&](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat("--set ", path, ": ", what...));
  };
  if (equals == absl::string_view::npos) return invalid("expected KEY=VALUE");
  std::string value(absl::StripAsciiWhitespace(assignment.substr(equals + 1)));

  Message* message = config;
  std::vector<absl::string_view> segments = absl::StrSplit(path, '.');
  for (size_t i = 0; i < segments.size(); ++i) {
    std::string name;
    int index;
    if (!ParseSegment(segments[i], &name, &index)) {
      return invalid("'", segments[i], "' is not a field, nor a field with [index]");
    }
    const auto* reflection = message->GetReflection();
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) {
      return invalid("no field named '", name, "'", SuggestField(*message->GetDescriptor(), name));
    }
    bool last = i + 1 == segments.size();
    bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (field->is_repeated()) {
      int size = reflection->FieldSize(*message, field);
      if (index < 0) return invalid("'", name, "' is a list; name one entry, as in ", name, "[0]");
      if (index >= size) {
        return invalid("'", name, "' has ", size, " entries, so ", name, "[", index,
                       "] is not there");
      }
      if (!is_message) return invalid("a list of plain values is set in the config file");
      message = reflection->MutableRepeatedMessage(message, field, index);
    } else if (index >= 0) {
      return invalid("'", name, "' is not a list");
    } else if (is_message) {
      const auto* oneof = field->real_containing_oneof();
      if (oneof != nullptr) {
        const FieldDescriptor* set = reflection->GetOneofFieldDescriptor(*message, oneof);
        if (set != nullptr && set != field) {
          return invalid("this entry is of kind '", set->name(), "', not '", name, "'");
        }
      }
      message = reflection->MutableMessage(message, field);
    } else if (!last) {
      return invalid("'", name, "' is a plain value and has no fields");
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      reflection->SetString(message, field, value);
      return absl::OkStatus();
    } else {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) value = absl::AsciiStrToUpper(value);
      FirstMessage error;
      TextFormat::Parser parser;
      parser.RecordErrorsTo(&error);
      if (!parser.ParseFieldValueFromString(value, field, message)) {
        if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
          return invalid("'", value, "' is not one of ", EnumValues(*field->enum_type()));
        }
        return invalid("cannot read '", value, "' as ", field->cpp_type_name(), ": ", error.text);
      }
      return absl::OkStatus();
    }
  }
  return invalid("is a group of fields, not a value", SuggestField(*message->GetDescriptor(), ""));
}

}  // namespace reckon
