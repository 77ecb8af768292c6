# Learning: models from sessions.
traj_test(NAME test_fit SOURCES test_fit.c ${CMAKE_SOURCE_DIR}/tests/common/made_session.c
    LIBS traj_learn m LABELS unit TIMEOUT 900)
traj_test(NAME test_regions SOURCES test_regions.c LIBS traj_learn m LABELS unit)
traj_test(NAME test_adapt SOURCES test_adapt.c ${CMAKE_SOURCE_DIR}/tests/common/made_session.c
    LIBS traj_learn m LABELS unit TIMEOUT 900)
traj_test(NAME test_health SOURCES test_health.c ${CMAKE_SOURCE_DIR}/tests/common/made_session.c
    LIBS traj_learn m LABELS unit)
traj_test(NAME test_unbroken SOURCES test_unbroken.c ${CMAKE_SOURCE_DIR}/tests/common/made_session.c
    LIBS traj_evaluate traj_learn m LABELS unit TIMEOUT 900)
traj_test(NAME test_reach SOURCES test_reach.c ${CMAKE_SOURCE_DIR}/tests/common/made_session.c
    LIBS traj_learn m LABELS unit)
traj_test(NAME test_session_recent SOURCES test_session_recent.c ${CMAKE_SOURCE_DIR}/tests/common/made_session.c
    ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c LIBS traj_learn m LABELS unit)
# Recordings, whole and damaged, through the pipeline once more.
traj_test(NAME test_rerun SOURCES test_rerun.c ${CMAKE_SOURCE_DIR}/tests/system/tiny_model.c
    LIBS traj_learn m LABELS unit)
traj_test(NAME test_recalibrate SOURCES test_recalibrate.c
    ${CMAKE_SOURCE_DIR}/tests/oracle/random_model.c ${CMAKE_SOURCE_DIR}/clients/trajctl/bench_model.c
    LIBS traj_learn m LABELS unit)
