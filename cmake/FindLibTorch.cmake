# LibTorch from the PyPI wheel, CPU libraries only: the wheel's own find_package(Torch) insists on
# a CUDA toolkit. RECKON_TOOLS is the environment that `./dev setup` makes. With RECKON_CUDA it is
# the one of `./dev check cuda`, and libtorch::cpu brings the CUDA libraries along.
#
# Targets: libtorch::cpu. Variables: LibTorch_CUDA_ROOT
set(RECKON_TOOLS "$ENV{RECKON_TOOLS}" CACHE PATH "environment with the torch wheel")
if(NOT RECKON_TOOLS)
  if(DEFINED ENV{XDG_CACHE_HOME})
    set(RECKON_TOOLS "$ENV{XDG_CACHE_HOME}/reckon/tools")
  else()
    set(RECKON_TOOLS "$ENV{HOME}/.cache/reckon/tools")
  endif()
endif()
file(GLOB site ${RECKON_TOOLS}/lib/python3*/site-packages)
find_path(LibTorch_ROOT_DIR include/ATen/ATen.h PATHS ${site}/torch NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_ROOT_DIR
  REASON_FAILURE_MESSAGE "run ./dev setup")

if(LibTorch_FOUND AND NOT TARGET libtorch::cpu)
  # The wheel carries old protobuf headers; Debian's must win in a file that includes both.
  set(shadow ${CMAKE_BINARY_DIR}/shadow)
  file(MAKE_DIRECTORY ${shadow})
  file(CREATE_LINK /usr/include/google ${shadow}/google SYMBOLIC)
  add_library(libtorch::c10 SHARED IMPORTED)
  set_target_properties(libtorch::c10 PROPERTIES
    IMPORTED_LOCATION ${LibTorch_ROOT_DIR}/lib/libc10.so)
  add_library(libtorch::cpu SHARED IMPORTED)
  set_target_properties(libtorch::cpu PROPERTIES
    IMPORTED_LOCATION ${LibTorch_ROOT_DIR}/lib/libtorch_cpu.so
    INTERFACE_LINK_LIBRARIES libtorch::c10
    INTERFACE_INCLUDE_DIRECTORIES "${shadow};${LibTorch_ROOT_DIR}/include;${LibTorch_ROOT_DIR}/include/torch/csrc/api/include"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${shadow};${LibTorch_ROOT_DIR}/include;${LibTorch_ROOT_DIR}/include/torch/csrc/api/include"
    INTERFACE_LINK_OPTIONS "-Wl,-rpath-link,${site}/nvidia/cu13/lib")
  if(RECKON_CUDA)
    set(LibTorch_CUDA_ROOT ${site}/nvidia/cu13)
    foreach(part cudnn cusparselt nccl nvshmem)
      target_link_options(libtorch::cpu INTERFACE "-Wl,-rpath-link,${site}/nvidia/${part}/lib")
    endforeach()
    # The GPU's operations register themselves: nothing names a symbol of theirs.
    set(libraries ${LibTorch_ROOT_DIR}/lib/libtorch_cuda.so ${LibTorch_ROOT_DIR}/lib/libc10_cuda.so)
    target_link_libraries(libtorch::cpu INTERFACE
      -Wl,--no-as-needed ${libraries} -Wl,--as-needed ${LibTorch_CUDA_ROOT}/lib/libcudart.so.13)
    target_compile_definitions(libtorch::cpu INTERFACE RECKON_CUDA)
    set(include ${LibTorch_CUDA_ROOT}/include ${site}/nvidia/nccl/include)
    target_include_directories(libtorch::cpu SYSTEM INTERFACE ${include})
  endif()
endif()
