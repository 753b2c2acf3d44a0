#include "common/config/fields.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

bool IsMessage(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// A member of a oneof that is not set is no part of the message.
bool Absent(const Message& message, const FieldDescriptor* field) {
  return field->real_containing_oneof() != nullptr &&
         !message.GetReflection()->HasField(message, field);
}

void SetDefault(Message* message, const FieldDescriptor* field) {
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->has_default_value()) {
        reflection->SetString(message, field, field->default_value_string());
      }
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      reflection->SetDouble(message, field, field->default_value_double());
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      reflection->SetUInt32(message, field, field->default_value_uint32());
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      reflection->SetUInt64(message, field, field->default_value_uint64());
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection->SetBool(message, field, field->default_value_bool());
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      reflection->SetEnum(message, field, field->default_value_enum());
      break;
    default:
      break;  // the schema has no other types
  }
}

}  // namespace

void MergeOver(const Message& over, Message* base) {
  const Reflection* reflection = over.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(over, &fields);
  // MergeFrom appends to repeated fields and merges messages by its own rule, so the former are
  // cleared in the base and the latter merged here and left out of what MergeFrom sees.
  std::unique_ptr<Message> rest(over.New());
  rest->CopyFrom(over);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      reflection->ClearField(base, field);
    } else if (IsMessage(field)) {
      MergeOver(reflection->GetMessage(over, field), reflection->MutableMessage(base, field));
      reflection->ClearField(rest.get(), field);
    }
  }
  base->MergeFrom(*rest);
}

void FillDefaults(Message* message) {
  const auto* type = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (Absent(*message, field)) continue;
    if (field->is_repeated()) {
      for (int j = 0; IsMessage(field) && j < reflection->FieldSize(*message, field); ++j) {
        FillDefaults(reflection->MutableRepeatedMessage(message, field, j));
      }
    } else if (IsMessage(field)) {
      FillDefaults(reflection->MutableMessage(message, field));
    } else if (!reflection->HasField(*message, field)) {
      SetDefault(message, field);
    }
  }
}

std::vector<FieldDifference> FindDifferences(const Message& before, const Message& after,
                                             const std::string& prefix) {
  constexpr char kNone[] = "(not set)";
  std::vector<FieldDifference> out;
  const Reflection& reflection = *before.GetReflection();
  auto value = [&](const Message& message, const FieldDescriptor* field, int index) {
    if (IsMessage(field)) return std::string("set");
    std::string text;
    google::protobuf::TextFormat::PrintFieldValueToString(message, field, index, &text);
    return text;
  };
  auto add_all = [&out](std::vector<FieldDifference> more) {
    out.insert(out.end(), more.begin(), more.end());
  };
  for (int i = 0; i < before.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = before.GetDescriptor()->field(i);
    const std::string path =
        prefix.empty() ? field->name() : absl::StrCat(prefix, ".", field->name());
    if (field->is_repeated()) {
      const int a = reflection.FieldSize(before, field), b = reflection.FieldSize(after, field);
      for (int j = 0; j < std::max(a, b); ++j) {
        const std::string at = absl::StrCat(path, "[", j, "]");
        if (j < std::min(a, b) && IsMessage(field)) {
          add_all(FindDifferences(reflection.GetRepeatedMessage(before, field, j),
                                  reflection.GetRepeatedMessage(after, field, j), at));
          continue;
        }
        const std::string then = j < a ? value(before, field, j) : kNone;
        const std::string now = j < b ? value(after, field, j) : kNone;
        if (then != now) out.push_back({at, then, now});
      }
      continue;
    }
    const bool a = reflection.HasField(before, field), b = reflection.HasField(after, field);
    if (a && b && IsMessage(field)) {
      add_all(FindDifferences(reflection.GetMessage(before, field),
                              reflection.GetMessage(after, field), path));
      continue;
    }
    const std::string then = a ? value(before, field, -1) : kNone;
    const std::string now = b ? value(after, field, -1) : kNone;
    if (then != now) out.push_back({path, then, now});
  }
  return out;
}

std::string SuggestField(const google::protobuf::Descriptor& type, absl::string_view unknown) {
  std::string nearest, all;
  size_t best = unknown.size() > 64 ? 0 : std::max<size_t>(2, unknown.size() / 3) + 1;
  for (int i = 0; i < type.field_count(); ++i) {
    const std::string& name = type.field(i)->name();
    absl::StrAppend(&all, all.empty() ? "" : ", ", name);
    if (best == 0) continue;
    // "rate" is near to "learning_rate".
    bool part =
        unknown.size() >= 2 && absl::string_view(name).find(unknown) != absl::string_view::npos;
    size_t distance = part ? 1 : EditDistance(unknown, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  if (!nearest.empty()) return absl::StrCat("; did you mean '", nearest, "'?");
  return all.empty() ? "; it has no fields" : absl::StrCat("; it has ", all);
}

absl::Status VisitTexts(const Message& message, const std::string& prefix,
                        absl::FunctionRef<absl::Status(const TextField&)> visit) {
  const auto* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (Absent(message, field)) continue;
    const std::string path =
        prefix.empty() ? field->name() : absl::StrCat(prefix, ".", field->name());
    if (IsMessage(field) && field->is_repeated()) {
      for (int j = 0; j < reflection->FieldSize(message, field); ++j) {
        RETURN_IF_ERROR(VisitTexts(reflection->GetRepeatedMessage(message, field, j),
                                   absl::StrCat(path, "[", j, "]"), visit));
      }
    } else if (IsMessage(field)) {
      RETURN_IF_ERROR(VisitTexts(reflection->GetMessage(message, field), path, visit));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated()) {
      RETURN_IF_ERROR(visit({.path = path,
                             .kind = field->options().GetExtension(text),
                             .required = field->options().GetExtension(required),
                             .value = reflection->GetString(message, field)}));
    }
  }
  return absl::OkStatus();
}

void EditTexts(Message* message,
               absl::FunctionRef<std::string(Text::Kind, const std::string&)> edit) {
  const auto* type = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (Absent(*message, field)) continue;
    if (IsMessage(field) && field->is_repeated()) {
      for (int j = 0; j < reflection->FieldSize(*message, field); ++j) {
        EditTexts(reflection->MutableRepeatedMessage(message, field, j), edit);
      }
    } else if (IsMessage(field)) {
      if (reflection->HasField(*message, field)) {
        EditTexts(reflection->MutableMessage(message, field), edit);
      }
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated()) {
      const std::string before = reflection->GetString(*message, field);
      std::string after = edit(field->options().GetExtension(text), before);
      if (after != before) reflection->SetString(message, field, std::move(after));
    }
  }
}

}  // namespace reckon
