# The core: what two threads share, and the histogram.  The policies are in tests/policy.
traj_test(NAME test_ring SOURCES test_ring.c LIBS traj_core Threads::Threads LABELS unit threads)
traj_test(NAME test_snapshot SOURCES test_snapshot.c LIBS traj_core Threads::Threads
    LABELS unit threads)
traj_test(NAME test_histogram SOURCES test_histogram.c ${CMAKE_SOURCE_DIR}/tests/common/tiny_model.c
    LIBS traj_core m LABELS unit)
traj_test(NAME test_expect SOURCES test_expect.c LIBS traj_core m LABELS unit)
traj_test(NAME test_stream SOURCES test_stream.c LIBS traj_learn m LABELS unit)
traj_test(NAME test_decode SOURCES test_decode.c ${CMAKE_SOURCE_DIR}/tests/common/tiny_model.c
    LIBS traj_learn m LABELS unit)
traj_test(NAME test_tape SOURCES test_tape.c LIBS traj_core Threads::Threads LABELS unit threads)
traj_test(NAME test_recording SOURCES test_recording.c LIBS traj_proto m LABELS unit)
traj_test(NAME test_journal SOURCES test_journal.c LIBS traj_core m LABELS unit)
traj_test(NAME test_binner SOURCES test_binner.c LIBS traj_core m LABELS unit)
