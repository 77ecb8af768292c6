# The daemon's configuration, and what libraries make of bytes that come in.
traj_fuzzer(NAME fuzz_config SOURCES fuzz_config.c LIBS traj_io m CORPUS corpus/config)
if(HIREDIS_FOUND)
    traj_fuzzer(NAME fuzz_brand_reply SOURCES fuzz_brand_reply.c LIBS traj_io m
        CORPUS corpus/brand_reply)
endif()
