# Files of other programs.  The inputs of fuzz_nwb bend a file that it builds itself.
traj_fuzzer(NAME fuzz_nwb SOURCES fuzz_nwb.c LIBS traj_files m CORPUS corpus/nwb)
traj_fuzzer(NAME fuzz_npy SOURCES fuzz_npy.c LIBS traj_files m CORPUS corpus/npy)
if(LIBZIP_FOUND)
    traj_fuzzer(NAME fuzz_npz SOURCES fuzz_npz.c LIBS traj_files m CORPUS corpus/npz)
endif()
