#ifndef RECKON_COMMON_CONFIG_FIELDS_H_
#define RECKON_COMMON_CONFIG_FIELDS_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/options.pb.h"

namespace reckon {

// Operations on the fields of any config message, by reflection.

// Lays `over` on top of `base`: set fields win, messages are merged field by field, repeated fields
// replace those of the base.
void MergeOver(const google::protobuf::Message& over, google::protobuf::Message* base);

// Sets every field that is not set to its default, so that a reader sees what a run used. Members
// of a oneof that are not set and strings without a default stay unset.
void FillDefaults(google::protobuf::Message* message);

// A field in which two messages of one type differ.
struct FieldDifference {
  std::string path;           // "stage[1].ppo.steps"
  std::string before, after;  // values as in a textproto; "(not set)"
};

// All of them, in the order of the fields' numbers. A message that one of the two lacks is one
// difference.
std::vector<FieldDifference> FindDifferences(const google::protobuf::Message& before,
                                             const google::protobuf::Message& after,
                                             const std::string& prefix = "");

// The end of an error about a field that `type` does not have: "; did you mean 'learning_rate'?" or
// "; it has path, compute, device".
std::string SuggestField(const google::protobuf::Descriptor& type, absl::string_view unknown);

// A string field of a message, with what it holds (option (text)) and its path in the config, as
// "stage[1].rcrl.orm".
struct TextField {
  std::string path;
  Text::Kind kind = Text::FREE;
  bool required = false;
  std::string value;  // the default if it is not set
};

// Whether the value of a REWARD_MODEL field is a folder rather than the name of a stage.
inline bool IsFolder(absl::string_view reward_model) {
  return reward_model.find('/') != absl::string_view::npos;
}

// Calls `visit` for every singular string field of `message` and its submessages, set or not, in
// the order of their numbers, until an error. Paths begin with `prefix`.
absl::Status VisitTexts(const google::protobuf::Message& message, const std::string& prefix,
                        absl::FunctionRef<absl::Status(const TextField&)> visit);

// Replaces every string for which `edit` returns another one than its value (or default).
void EditTexts(google::protobuf::Message* message,
               absl::FunctionRef<std::string(Text::Kind, const std::string&)> edit);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_FIELDS_H_
