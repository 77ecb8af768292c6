# What must hold of the estimator whatever the model and the frames.
traj_test(NAME property_decoder SOURCES test_decoder.c ../oracle/random_model.c
    LIBS traj_model m LABELS property TIMEOUT 300)
traj_test(NAME property_adopt SOURCES test_adopt.c ../oracle/chain_model.c ../oracle/random_model.c
    LIBS traj_model m LABELS property TIMEOUT 300)
