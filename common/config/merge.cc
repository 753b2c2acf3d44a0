#include <memory>
#include <vector>

#include "common/config/config_steps.h"

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

}  // namespace

void MergeOver(const Message& over, Message* base) {
  const Reflection* reflection = over.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(over, &fields);
  // Repeated fields: the base's go. Messages: merged by the recursion. What is left is exactly what
  // MergeFrom does, on a copy without the nested messages that are merged here.
  std::unique_ptr<Message> rest(over.New());
  rest->CopyFrom(over);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      reflection->ClearField(base, field);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      MergeOver(reflection->GetMessage(over, field), reflection->MutableMessage(base, field));
      reflection->ClearField(rest.get(), field);
    }
  }
  base->MergeFrom(*rest);
}

}  // namespace reckon
