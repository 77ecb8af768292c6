/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Families of models that can be trained, and their names. */
#ifndef TRAJ_LEARN_FAMILY_H
#define TRAJ_LEARN_FAMILY_H

enum traj_family {
    /* The default: course for trials that were cut out of a recording; for an unbroken one the
     * filter over courses and free places, free places alone or the mixture, by
     * cross-validation. */
    TRAJ_FAMILY_AUTO,
    /* filter over courses: target, phase and warp (daemon/model/course_filter.h) */
    TRAJ_FAMILY_COURSE,
    TRAJ_FAMILY_PLACES,  /* the same over free places alone, for unbroken recordings */
    TRAJ_FAMILY_MIXTURE, /* one component a target and a free one (Yu et al. 2007) */
    TRAJ_FAMILY_WARPED,  /* the same with courses at speeds of their own (Corbett et al. 2010) */
    TRAJ_FAMILY_STM,     /* single trajectory model: one component fitted to all reaches */
    TRAJ_FAMILY_RWM      /* one component with a random-walk prior */
};
#define TRAJ_FAMILIES (TRAJ_FAMILY_RWM + 1) /* how many there are */

const char *traj_family_name(enum traj_family family);

/* 0, or -1 where no family has that name. */
int traj_family_parse(const char *name, enum traj_family *family);

#endif
