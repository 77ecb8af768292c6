/* SPDX-License-Identifier: GPL-3.0-or-later */
/* struct traj_session -> session file. */
#include "clients/files/h5_output.h"
#include "clients/files/session_file.h"

/* ---- the parts ----------------------------------------------------------------------------------
 */

static int write_attributes(const struct traj_h5_output *out, const struct traj_session *s)
{
    int32_t version = 1;
    if (traj_h5_write_text(out, "/", "format", "trajd-session") != 0 ||
        traj_h5_write_attribute(out, "/", "version", H5T_NATIVE_INT32, &version) != 0 ||
        traj_h5_write_text(out, "/", "subject", s->subject) != 0 ||
        traj_h5_write_text(out, "/", "description", s->description) != 0)
        return -1;
    return traj_h5_write_text(out, "/", "length_unit", s->length_unit);
}

static int write_frames(const struct traj_h5_output *out, const struct traj_session *s)
{
    if (s->bins == 0)
        return 0;
    if (traj_h5_write_group(out, "/frames") != 0 ||
        traj_h5_write_doubles(out, "/frames/t_end", s->bins, 0, s->t_end) != 0 ||
        traj_h5_write_doubles(out, "/frames/dt", s->bins, 0, s->dt) != 0)
        return -1;
    const size_t counts[2] = {s->bins, s->units}, features[2] = {s->bins, s->features};
    if (s->units > 0 &&
        (traj_h5_write_array(out, "/frames/counts", 2, counts, H5T_STD_U16LE, H5T_NATIVE_UINT16,
                             s->counts) != 0 ||
         traj_h5_write_names(out, "/frames/unit_name", s->units, s->unit_name) != 0))
        return -1;
    if (s->features == 0)
        return 0;
    return traj_h5_write_array(out, "/frames/features", 2, features, H5T_IEEE_F32LE,
                               H5T_NATIVE_FLOAT, s->feature);
}

static int write_kinematics(const struct traj_h5_output *out, const struct traj_session *s)
{
    if (s->samples == 0)
        return 0;
    if (traj_h5_write_group(out, "/kinematics") != 0 ||
        traj_h5_write_doubles(out, "/kinematics/t", s->samples, 0, s->kin_t) != 0 ||
        traj_h5_write_doubles(out, "/kinematics/position", s->samples, s->dim, s->position) != 0)
        return -1;
    return traj_h5_write_doubles(out, "/kinematics/velocity", s->samples, s->dim, s->velocity);
}

static int write_trials(const struct traj_h5_output *out, const struct traj_session *s)
{
    if (s->trials == 0)
        return 0;
    if (traj_h5_write_group(out, "/trials") != 0 ||
        traj_h5_write_doubles(out, "/trials/start", s->trials, 0, s->start) != 0 ||
        traj_h5_write_doubles(out, "/trials/stop", s->trials, 0, s->stop) != 0 ||
        traj_h5_write_doubles(out, "/trials/go", s->trials, 0, s->go) != 0 ||
        traj_h5_write_doubles(out, "/trials/move", s->trials, 0, s->move) != 0 ||
        traj_h5_write_doubles(out, "/trials/rewarded", s->trials, 0, s->rewarded) != 0)
        return -1;
    return traj_h5_write_array(out, "/trials/target", 1, &s->trials, H5T_STD_I32LE,
                               H5T_NATIVE_INT32, s->target);
}

static int write_targets(const struct traj_h5_output *out, const struct traj_session *s)
{
    if (s->targets == 0)
        return 0;
    if (traj_h5_write_group(out, "/targets") != 0 ||
        traj_h5_write_doubles(out, "/targets/position", s->targets, s->target_dim,
                              s->target_position) != 0)
        return -1;
    return traj_h5_write_names(out, "/targets/id", s->targets, s->target_id);
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static int write_content(const struct traj_h5_output *out, const void *context)
{
    const struct traj_session *s = context;
    if (write_attributes(out, s) != 0 || write_frames(out, s) != 0 ||
        write_kinematics(out, s) != 0 || write_trials(out, s) != 0)
        return -1;
    return write_targets(out, s);
}

int traj_session_write(const struct traj_session *session, const char *path,
                       struct traj_error *error)
{
    if (traj_session_check(session, error) != 0)
        return -1;
    return traj_h5_write_file(path, NULL, write_content, session, error);
}
