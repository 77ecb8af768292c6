# Sessions: files over many drawn sessions, and what a simulated one must look like.
traj_test(NAME test_session_random SOURCES test_session_random.c LIBS traj_files m LABELS property)
traj_test(NAME test_simulate SOURCES test_simulate.c LIBS traj_sim m LABELS property)
# Reaches at many speeds.
traj_test(NAME property_warped SOURCES test_warped.c LIBS traj_sim traj_learn m LABELS property accuracy
    TIMEOUT 900)
