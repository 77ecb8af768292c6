# Files of other programs.  The inputs of fuzz_nwb bend a file that it builds itself.
foreach(kind npy csv)
    traj_fuzzer(NAME fuzz_${kind} SOURCES fuzz_${kind}.c LIBS traj_files m CORPUS corpus/${kind})
endforeach()
foreach(kind nwb h5)
    traj_fuzzer(NAME fuzz_${kind} SOURCES fuzz_${kind}.c LIBS traj_files m CORPUS corpus/${kind}
        FOREIGN)
endforeach()
if(LIBZIP_FOUND)
    traj_fuzzer(NAME fuzz_npz SOURCES fuzz_npz.c LIBS traj_files m CORPUS corpus/npz)
    # What an entry claims is not what memory is taken for: more than this ends the test.
    set_property(TEST fuzz_npz APPEND PROPERTY ENVIRONMENT
        "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:max_allocation_size_mb=256")
endif()
if(MATIO_FOUND)
    traj_fuzzer(NAME fuzz_mat SOURCES fuzz_mat.c LIBS traj_files m CORPUS corpus/mat FOREIGN)
endif()
# Where a file claims much, the libraries that believe it find memory short, as anybody would.
foreach(kind h5 mat)
    if(TEST fuzz_${kind} AND NOT TRAJ_FUZZ)
        set_property(TEST fuzz_${kind} APPEND PROPERTY ENVIRONMENT
            "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1:max_allocation_size_mb=16")
    endif()
endforeach()
