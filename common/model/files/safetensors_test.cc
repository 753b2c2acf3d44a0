#include "common/model/files/safetensors.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

std::string WithLength(absl::string_view json, uint64_t length) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return absl::StrCat(out, json);
}

// A whole file: header and `data` bytes of data.
std::string File(absl::string_view json, size_t data) {
  return WithLength(json, json.size()) + std::string(data, '\0');
}

std::string Tensor(absl::string_view name, absl::string_view dtype, absl::string_view shape,
                   absl::string_view offsets) {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                      ",\"data_offsets\":", offsets, "}");
}

absl::StatusOr<SafetensorsHeader> Parse(const std::string& file) {
  return ParseSafetensorsHeader(file, file.size());
}

TEST(Safetensors, ParsesWhatItFormats) {
  WeightManifest manifest;
  auto* a = manifest.add_tensors();
  a->set_name("odd \"name\" \xC3\xA9");
  a->set_dtype("F32");
  a->add_shape(2);
  a->add_shape(3);
  auto* b = manifest.add_tensors();
  b->set_name("b");
  b->set_dtype("BF16");
  b->add_shape(5);
  ASSERT_TRUE(LayOut(&manifest).ok());
  ASSERT_EQ(manifest.total_bytes(), 34u);
  std::string file = FormatSafetensorsHeader(manifest) + std::string(34, 'x');
  auto header = Parse(file);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->data_begin % 8, 0u);
  EXPECT_EQ(header->data_bytes, 34u);
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[0].SerializeAsString(), manifest.tensors(0).SerializeAsString());
  EXPECT_EQ(header->tensors[1].SerializeAsString(), manifest.tensors(1).SerializeAsString());
}

TEST(Safetensors, OrdersTensorsByOffset) {
  auto header = Parse(File(
      "{" + Tensor("z", "F32", "[1]", "[4,8]") + "," + Tensor("a", "F32", "[]", "[0,4]") + "}   ",
      8));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->tensors[0].name(), "a");
}

struct Hostile {
  const char* name;
  std::string file;
  const char* says;
};

class HostileHeader : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileHeader, IsRefusedWithTheReason) {
  auto header = Parse(GetParam().file);
  ASSERT_FALSE(header.ok());
  EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(header.status().message()), HasSubstr(GetParam().says));
}

std::string One(absl::string_view dtype, absl::string_view shape, absl::string_view offsets,
                size_t data) {
  return File("{" + Tensor("w", dtype, shape, offsets) + "}", data);
}

std::string Two(absl::string_view first, absl::string_view second, size_t data) {
  return File(
      "{" + Tensor("a", "F32", "[1]", first) + "," + Tensor("b", "F32", "[1]", second) + "}", data);
}

std::string Many(int count) {
  std::string json = "{";
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(
        &json, i == 0 ? "" : ",",
        Tensor(absl::StrCat(i), "F32", "[1]", absl::StrCat("[", 4 * i, ",", 4 * i + 4, "]")));
  }
  return File(json + "}", 0);
}

std::string Repeat(absl::string_view piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out.append(piece.data(), piece.size());
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Safetensors, HostileHeader,
    ::testing::Values(
        Hostile{"empty", "", "fewer than 8"}, Hostile{"one_byte", "a", "fewer than 8"},
        Hostile{"seven_bytes", "abcdefg", "fewer than 8"},
        Hostile{"length_zero", WithLength("{}", 0), "does not fit"},
        Hostile{"length_one", WithLength("{}", 1), "does not fit"},
        Hostile{"length_past_end", WithLength("{}", 3), "does not fit"},
        Hostile{"length_above_limit", WithLength("{}", 100'000'001), "limit"},
        Hostile{"length_2_63", WithLength("{}", 1ull << 63), "limit"},
        Hostile{"length_2_64", WithLength("{}", ~0ull), "limit"},
        Hostile{"not_an_object", File("[1]", 0), "begin with {"},
        Hostile{"space_first", File(" {}", 0), "begin with {"},
        Hostile{"no_tensors", File("{}", 0), "no tensors"},
        Hostile{"invalid_utf8", File("{\"\xFF\":{}}", 0), "not valid JSON"},
        Hostile{"nul_inside", File(std::string("{\"a\0b\":{}}", 10), 0), "NUL"},
        Hostile{"nul_behind", File(std::string("{}\0{}", 5), 0), "NUL"},
        Hostile{"trailing_garbage", File("{" + Tensor("w", "F32", "[1]", "[0,4]") + "} x", 4),
                "not valid JSON"},
        Hostile{"unfinished", File("{\"w\":{\"dtype\":\"F32\"", 4), "not valid JSON"},
        Hostile{"duplicate_name",
                File("{" + Tensor("a", "F32", "[1]", "[0,4]") + "," +
                         Tensor("a", "F32", "[1]", "[4,8]") + "}",
                     8),
                "duplicate name a"},
        Hostile{"million_tensors", Many(1'000'000), "more tensors"},
        Hostile{"long_key", File("{\"" + std::string(1 << 20, 'k') + "\":{}}", 0), "name has"},
        Hostile{"empty_name", File("{" + Tensor("", "F32", "[1]", "[0,4]") + "}", 4), "name has"},
        Hostile{"deep_objects", File(Repeat("{\"a\":", 100'000), 0), "unknown key"},
        Hostile{"deep_arrays", File("{\"a\":" + Repeat("[", 100'000), 0), "out of place"},
        Hostile{"deep_metadata", File("{\"__metadata__\":{\"a\":{\"b\":1}}}", 0), "out of place"},
        Hostile{"null_tensor", File("{\"a\":null}", 0), "null"},
        Hostile{"unknown_key", File("{\"a\":{\"dtype\":\"F32\",\"x\":[0]}}", 0), "unknown key x"},
        Hostile{"key_twice", File("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0),
                "duplicate key dtype"},
        Hostile{"missing_key", File("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4), "needs dtype"},
        Hostile{"offset_negative", One("F32", "[1]", "[-4,0]", 4), "negative"},
        Hostile{"offset_reversed", One("F32", "[1]", "[4,0]", 4), "another size"},
        Hostile{"offset_beyond_file", One("F32", "[2]", "[0,8]", 4), "beyond the end of the file"},
        Hostile{"offset_overlap", Two("[0,4]", "[2,6]", 8), "overlap"},
        Hostile{"offset_same", Two("[0,4]", "[0,4]", 8), "overlap"},
        Hostile{"offset_hole", Two("[0,4]", "[8,12]", 12), "hole"},
        Hostile{"hole_at_end", One("F32", "[1]", "[0,4]", 8), "bytes of data"},
        Hostile{"offset_fraction", One("F32", "[1]", "[0.5,4]", 4), "not an integer"},
        Hostile{"offset_three", One("F32", "[1]", "[0,4,8]", 4), "two numbers"},
        Hostile{"offset_one", One("F32", "[1]", "[4]", 4), "two numbers"},
        Hostile{"offset_2_53", One("F32", "[1]", "[0,9007199254740994]", 4), "out of range"},
        Hostile{"offset_2_64", One("F32", "[1]", "[0,18446744073709551620]", 4), "not an integer"},
        Hostile{"offset_string", One("F32", "[1]", "[\"0\",4]", 4), "out of place"},
        Hostile{"zero_size_shares_offset",
                File("{" + Tensor("a", "F32", "[0]", "[0,0]") + "," +
                         Tensor("b", "F32", "[1]", "[0,4]") + "}",
                     4),
                "below 1"},
        Hostile{"shape_negative", One("F32", "[-1]", "[0,4]", 4), "negative"},
        Hostile{"shape_2_63", One("F32", "[9223372036854775808]", "[0,4]", 4), "out of range"},
        Hostile{"shape_wraps", One("F32", "[4194305,4194305,211106198978564]", "[0,16]", 16),
                "overflows"},
        Hostile{"shape_rank", One("F32", "[" + Repeat("1,", 100'000) + "1]", "[0,4]", 4),
                "too many dimensions"},
        Hostile{"shape_scalar_of_two", One("F32", "[]", "[0,8]", 8), "another size"},
        Hostile{"shape_zero", One("F32", "[0]", "[0,0]", 0), "below 1"},
        Hostile{"shape_nested", One("F32", "[[1]]", "[0,4]", 4), "out of place"},
        Hostile{"size_mismatch", One("BF16", "[2,2]", "[0,16]", 16), "another size"},
        Hostile{"unknown_dtype", One("F7", "[1]", "[0,4]", 4), "dtype F7"},
        Hostile{"bool_of_two", One("BOOL", "[1]", "[0,2]", 2), "another size"}),
    [](const auto& info) { return info.param.name; });

TEST(LayOut, NamesTheInvalidTensor) {
  WeightManifest manifest;
  auto* tensor = manifest.add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("I64");
  EXPECT_THAT(std::string(LayOut(&manifest).message()),
              HasSubstr("tensor w: type I64 is not supported; F32, BF16 and F16 are"));
  tensor->set_dtype("F32");
  tensor->add_shape(-2);
  EXPECT_THAT(std::string(LayOut(&manifest).message()), HasSubstr("tensor w"));
  tensor->set_shape(0, 1);
  *manifest.add_tensors() = *tensor;
  EXPECT_THAT(std::string(LayOut(&manifest).message()), HasSubstr("distinct"));
}

}  // namespace
}  // namespace reckon
