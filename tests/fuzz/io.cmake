# The daemon's configuration, and what libraries make of bytes that come in.
traj_fuzzer(NAME fuzz_config SOURCES fuzz_config.c LIBS traj_io m CORPUS corpus/config)
if(HIREDIS_FOUND)
    traj_fuzzer(NAME fuzz_brand_reply SOURCES fuzz_brand_reply.c LIBS traj_io m
        CORPUS corpus/brand_reply)
endif()
# Requests at the control socket, and their answers.
traj_fuzzer(NAME fuzz_control
    SOURCES fuzz_control.c ${CMAKE_SOURCE_DIR}/clients/trajctl/bench_model.c
    LIBS traj_io m CORPUS corpus/control)
