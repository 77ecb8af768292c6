/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Places on courses from kinematics; see labels.h. */
#include "daemon/learn/labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/frame_of_target.h"

#define STEP_S 0.05     /* s between places; one bin where bins are longer */
#define BEFORE_S 0.3    /* s of a course before the onset of its movement */
#define AFTER_MIN_S 0.4 /* s of a course after it, least and most */
#define AFTER_MAX_S 2.0
#define AFTER_ARRIVAL_S 0.1 /* s after most hands have arrived */
#define SMOOTH_S 0.05       /* s, sd over which velocity is smoothed */
#define PEAK_SHARE 0.15     /* of its peak, where a movement's speed begins */
#define HALF_WAY 0.5        /* of the distance, that a reach must pass */
#define NEAR_TARGET 0.85    /* of the distance, where the hand has arrived */
#define TURNED 0.44         /* of the distance, where a hand on its way back is seen to be */
#define BACK_S 0.7          /* s before that, within which the way back began */
#define AT_REST 0.25        /* of the distance, within which a hand without a task rests */
#define COMMON 0.35         /* of the distance: scatter of reaches' beginnings that is allowed */
#define TARGETS_MAX 64      /* whose courses can be learned */
#define CYCLES_A_TARGET 2   /* that are needed */
#define ROUNDS 4            /* of alignment */
#define ALIGN_POSITION 0.2  /* of the distance: sd of positions about a place, in alignment */
#define ALIGN_VELOCITY 1.15 /* of velocity's root mean square */
#define COURSE_PRIOR 1.0    /* bins that the courses' common profile counts for */
#define EDGE 0.5            /* nats a place, by which the ends of a cycle may not be moved freely */
#define HOLD_ON 0.05        /* nats to hold for one more bin, and to leave */
#define HOLD_END 3.0
#define PACE_VARIANCE 0.0225 /* s^2/s: how fast movements of unlike speed run apart in time */

static const double *state_of(const struct traj_training *training, size_t b)
{
    return training->x + b * 3 * training->dim;
}

void traj_labels_pace(double bin, double step, double pace[3])
{
    double mean = bin / step, variance = PACE_VARIANCE * bin / (step * step);
    pace[2] = fmax((variance + mean * mean - mean) / 2, 0);
    pace[1] = mean - 2 * pace[2];
    pace[0] = 1 - pace[1] - pace[2];
}

/* ---- where reaches begin ------------------------------------------------------------------- */

static bool has_bins(const struct traj_training *training, const struct traj_course *trial)
{
    return trial->session != (size_t)-1 && trial->target >= 0 && trial->bin_count > 1 &&
           training->known[trial->bin_first];
}

static double target_distance(const struct traj_training *training, const double *origin,
                              size_t target)
{
    double sum = 0;
    for (size_t d = 0; d < training->dim; d++) {
        double apart = training->target_position[target * training->dim + d] - origin[d];
        sum += apart * apart;
    }
    return sqrt(sum);
}

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Mean position at trials' first bins, their root mean square scatter about it, and the median
 * distance of the targets from it. */
static size_t measure_origin(const struct traj_training *training, double *origin, double *scatter,
                             double *reach)
{
    size_t dim = training->dim, count = 0, targets = 0;
    double distance[TRAJ_TARGETS_MAX];
    memset(origin, 0, TRAJ_DIM_MAX * sizeof *origin);
    *scatter = *reach = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (!has_bins(training, trial))
            continue;
        count++;
        for (size_t d = 0; d < dim; d++)
            origin[d] += state_of(training, trial->bin_first)[d];
    }
    for (size_t d = 0; d < dim && count > 0; d++)
        origin[d] /= (double)count;
    for (size_t r = 0; r < training->trials; r++)
        for (size_t d = 0; has_bins(training, &training->trial[r]) && d < dim; d++) {
            double apart = state_of(training, training->trial[r].bin_first)[d] - origin[d];
            *scatter += apart * apart / (double)count;
        }
    *scatter = sqrt(*scatter);
    for (size_t m = 0; m < training->targets; m++)
        distance[targets++] = target_distance(training, origin, m);
    qsort(distance, targets, sizeof *distance, compare_doubles);
    *reach = targets > 0 ? distance[targets / 2] : 0;
    return count;
}

const char *traj_labels_obstacle(const struct traj_training *training)
{
    double origin[TRAJ_DIM_MAX], scatter, reach;
    if (training->labelled == 0 || training->targets == 0)
        return "no trial has a known target";
    if (training->targets > TARGETS_MAX)
        return "there are too many targets";
    if (measure_origin(training, origin, &scatter, &reach) < CYCLES_A_TARGET)
        return "too few trials have kinematics";
    if (!(scatter < COMMON * reach))
        return "reaches do not begin at one place";
    return NULL;
}

/* ---- cycles -------------------------------------------------------------------------------- */

/* Velocity smoothed over bins between gaps, [bins][dim]. */
static double *smooth_velocity(const struct traj_training *training)
{
    size_t dim = training->dim, reach = (size_t)ceil(3 * SMOOTH_S / training->bin);
    double *out = calloc(training->bins * dim + 1, sizeof *out);
    for (size_t b = 0; out && b < training->bins; b++) {
        double mass = 0;
        size_t low = b > reach ? b - reach : 0;
        for (size_t i = low; i <= b + reach && i < training->bins; i++) {
            double apart = ((double)i - (double)b) * training->bin / SMOOTH_S;
            double weight = exp(-0.5 * apart * apart);
            if (!training->known[i] || training->run_start[i] != training->run_start[b])
                continue;
            mass += weight;
            for (size_t d = 0; d < dim; d++)
                out[b * dim + d] += weight * state_of(training, i)[dim + d];
        }
        for (size_t d = 0; d < dim && mass > 0; d++)
            out[b * dim + d] /= mass;
    }
    return out;
}

/* The direction of one target and what is measured along it. */
struct along {
    const struct traj_training *training;
    const double *velocity; /* [bins][dim] smoothed */
    const double *origin;
    double direction[TRAJ_DIM_MAX];
    double distance;
};

static void look_along(struct along *along, size_t target)
{
    along->distance = target_distance(along->training, along->origin, target);
    for (size_t d = 0; d < along->training->dim; d++)
        along->direction[d] = (along->training->target_position[target * along->training->dim + d] -
                               along->origin[d]) /
                              fmax(along->distance, 1e-300);
}

static double place_along(const struct along *along, size_t b)
{
    double sum = 0;
    for (size_t d = 0; d < along->training->dim; d++)
        sum += (state_of(along->training, b)[d] - along->origin[d]) * along->direction[d];
    return sum;
}

static double speed_along(const struct along *along, size_t b)
{
    double sum = 0;
    for (size_t d = 0; d < along->training->dim; d++)
        sum += along->velocity[b * along->training->dim + d] * along->direction[d];
    return sum;
}

/* Onset of the movement out and when it arrives; false where the trial holds no reach. */
static bool find_onset(const struct along *along, struct traj_cycle *cycle)
{
    double farthest = -INFINITY, fastest = -INFINITY;
    size_t peak = cycle->first;
    for (size_t b = cycle->first; b <= cycle->last; b++) {
        farthest = fmax(farthest, place_along(along, b));
        if (speed_along(along, b) > fastest) {
            fastest = speed_along(along, b);
            peak = b;
        }
    }
    if (!(along->distance > 0) || farthest < HALF_WAY * along->distance || !(fastest > 0))
        return false;
    while (peak > cycle->first && speed_along(along, peak) > PEAK_SHARE * fastest)
        peak--;
    cycle->onset = peak;
    size_t b = peak;
    while (b + 1 < cycle->end && place_along(along, b) < NEAR_TARGET * along->distance)
        b++;
    cycle->arrival = (double)(b - peak) * along->training->bin;
    return true;
}

static void find_back(const struct along *along, struct traj_cycle *cycle)
{
    size_t window = (size_t)(BACK_S / along->training->bin + 0.5), turned = cycle->last;
    cycle->back = (size_t)-1;
    while (turned < cycle->end && place_along(along, turned) >= TURNED * along->distance)
        turned++;
    if (turned >= cycle->end)
        return;
    size_t low = turned > window ? turned - window : 0;
    low = low > cycle->onset ? low : cycle->onset;
    size_t peak = low;
    for (size_t b = low; b <= turned; b++)
        if (speed_along(along, b) < speed_along(along, peak))
            peak = b;
    double fastest = speed_along(along, peak);
    while (peak > cycle->onset && speed_along(along, peak) < PEAK_SHARE * fastest)
        peak--;
    cycle->back = peak;
}

/* The bin after the last that belongs to trial r: where the recording breaks off, the kinematics
 * do, or the next trial begins. */
static size_t cycle_end(const struct traj_training *training, size_t r)
{
    const struct traj_course *trial = &training->trial[r];
    size_t end = trial->bin_first + trial->bin_count, limit = training->bins;
    if (r + 1 < training->trials && training->trial[r + 1].session == trial->session &&
        training->trial[r + 1].bin_count > 0)
        limit = training->trial[r + 1].bin_first;
    while (end < limit && training->known[end] &&
           training->run_start[end] == training->run_start[trial->bin_first])
        end++;
    return end;
}

static int find_cycles(struct traj_labels *labels, const struct traj_training *training)
{
    struct along along = {.training = training, .origin = labels->origin};
    double *velocity = smooth_velocity(training);
    labels->cycle = calloc(training->trials + 1, sizeof *labels->cycle);
    along.velocity = velocity;
    for (size_t r = 0; velocity && labels->cycle && r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        struct traj_cycle cycle = {.trial = r, .first = trial->bin_first};
        bool known = has_bins(training, trial);
        for (size_t b = 0; known && b < trial->bin_count; b++)
            known = training->known[trial->bin_first + b] != 0;
        if (!known)
            continue;
        cycle.last = trial->bin_first + trial->bin_count - 1;
        cycle.end = cycle_end(training, r);
        look_along(&along, (size_t)trial->target);
        if (find_onset(&along, &cycle)) {
            find_back(&along, &cycle);
            labels->cycle[labels->cycles++] = cycle;
        }
    }
    free(velocity);
    return velocity && labels->cycle ? 0 : -1;
}

/* How many places a course has, from when hands arrive. */
static int measure_steps(struct traj_labels *labels, const struct traj_training *training)
{
    double *arrival = malloc((labels->cycles + 1) * sizeof *arrival);
    if (!arrival)
        return -1;
    for (size_t i = 0; i < labels->cycles; i++)
        arrival[i] = labels->cycle[i].arrival;
    qsort(arrival, labels->cycles, sizeof *arrival, compare_doubles);
    labels->arrival = labels->cycles > 0 ? arrival[labels->cycles / 2] : 0;
    double after = labels->cycles > 0 ? arrival[labels->cycles * 9 / 10] + AFTER_ARRIVAL_S : 0;
    after = fmin(fmax(after, AFTER_MIN_S), AFTER_MAX_S);
    labels->step = fmax(training->bin, STEP_S);
    labels->before = (size_t)(BEFORE_S / labels->step + 0.5);
    labels->steps = labels->before + (size_t)ceil(after / labels->step - 1e-9);
    labels->row = 2 * labels->steps + 1;
    free(arrival);
    return 0;
}

/* ---- labels -------------------------------------------------------------------------------- */

/* Place of bin b on a way whose movement begins at `onset`; negative before it. */
static long place_on(const struct traj_labels *labels, const struct traj_training *training,
                     size_t b, size_t onset)
{
    double since = ((double)b - (double)onset) * training->bin / labels->step;
    return (long)floor(since + 0.5) + (long)labels->before;
}

static bool near_origin(const struct traj_labels *labels, const struct traj_training *training,
                        size_t b)
{
    double sum = 0;
    for (size_t d = 0; d < training->dim; d++) {
        double apart = state_of(training, b)[d] - labels->origin[d];
        sum += apart * apart;
    }
    return sum < AT_REST * AT_REST * labels->reach * labels->reach;
}

/* First bin of the course of the cycle after i, or where that of i ends at the latest. */
static size_t next_course(const struct traj_labels *labels, const struct traj_training *training,
                          size_t i)
{
    const struct traj_cycle *cycle = &labels->cycle[i];
    size_t before = (size_t)((double)labels->before * labels->step / training->bin + 0.5);
    size_t begin = cycle->end;
    while (begin < training->bins && training->known[begin] &&
           training->run_start[begin] == training->run_start[cycle->first] &&
           !(i + 1 < labels->cycles && begin >= labels->cycle[i + 1].onset))
        begin++;
    if (i + 1 < labels->cycles && begin == labels->cycle[i + 1].onset)
        begin = begin > before ? begin - before : 0;
    return begin;
}

/* The place of a bin in a cycle, TRAJ_LABEL_NONE where it is none of its. */
static int32_t place_in_cycle(const struct traj_labels *labels,
                              const struct traj_training *training, const struct traj_cycle *cycle,
                              size_t b)
{
    bool returns = cycle->back != (size_t)-1;
    long out = place_on(labels, training, b, cycle->onset), steps = (long)labels->steps;
    long back = returns ? place_on(labels, training, b, cycle->back) : -1;
    int32_t first = 1 + training->trial[cycle->trial].target * (int32_t)labels->row;
    if (out < steps)
        return out < 0 ? TRAJ_LABEL_NONE : first + (int32_t)out;
    if (back >= 0 && back < steps)
        return first + (int32_t)(steps + 1 + back);
    if (back < 0)
        return returns || b <= cycle->last ? first + (int32_t)steps : TRAJ_LABEL_NONE;
    return near_origin(labels, training, b) ? TRAJ_LABEL_REST : TRAJ_LABEL_NONE;
}

static void label_cycle(struct traj_labels *labels, const struct traj_training *training, size_t i)
{
    const struct traj_cycle *cycle = &labels->cycle[i];
    size_t end = next_course(labels, training, i);
    size_t lead = (size_t)((double)labels->before * labels->step / training->bin + 0.5);
    for (size_t b = cycle->onset > lead ? cycle->onset - lead : 0; b < end; b++)
        if (training->known[b] && training->run_start[b] == training->run_start[cycle->first])
            labels->place[b] = place_in_cycle(labels, training, cycle, b);
}

/* ---- alignment ----------------------------------------------------------------------------- */

/* Sums that a course's mean is made of; profile turned back to the first axis. */
struct course_sums {
    double *turn;          /* [targets][dim][dim] from the first axis to the target */
    double *count;         /* [targets * row] */
    double *profile;       /* [row][2 dim] */
    double *profile_count; /* [row] */
};

static int turn_to_targets(const struct traj_labels *labels, const struct traj_training *training,
                           struct course_sums *sums)
{
    size_t dim = training->dim, nodes = labels->targets * labels->row;
    sums->turn = calloc(labels->targets * dim * dim + 1, sizeof *sums->turn);
    sums->count = calloc(nodes + 1, sizeof *sums->count);
    sums->profile = calloc(labels->row * 2 * dim + 1, sizeof *sums->profile);
    sums->profile_count = calloc(labels->row + 1, sizeof *sums->profile_count);
    for (size_t m = 0; sums->turn && m < labels->targets; m++) {
        double toward[TRAJ_DIM_MAX];
        for (size_t d = 0; d < dim; d++)
            toward[d] = training->target_position[m * dim + d] - labels->origin[d];
        traj_rotation_to(toward, dim, sums->turn + m * dim * dim);
    }
    return sums->turn && sums->count && sums->profile && sums->profile_count ? 0 : -1;
}

static void add_to_course(const struct traj_labels *labels, const struct traj_training *training,
                          struct course_sums *sums, size_t b, double *mean)
{
    size_t dim = training->dim, width = 2 * dim, j = (size_t)labels->place[b] - 1;
    const double *turn = sums->turn + j / labels->row * dim * dim;
    double *profile = sums->profile + j % labels->row * width;
    sums->count[j]++;
    sums->profile_count[j % labels->row]++;
    for (size_t i = 0; i < width; i++) {
        double value = state_of(training, b)[i] - (i < dim ? labels->origin[i] : 0);
        mean[j * width + i] += value;
        for (size_t k = 0; k < dim; k++)
            profile[i / dim * dim + k] += turn[i % dim * dim + k] * value;
    }
}

int traj_labels_courses(const struct traj_labels *labels, const struct traj_training *training,
                        unsigned without, double *mean)
{
    size_t dim = training->dim, width = 2 * dim, row = labels->row, nodes = labels->targets * row;
    struct course_sums sums = {NULL, NULL, NULL, NULL};
    int status = turn_to_targets(labels, training, &sums);
    memset(mean, 0, nodes * width * sizeof *mean);
    for (size_t b = 0; status == 0 && b < training->bins; b++)
        if (labels->place[b] >= 1 && training->known[b] &&
            traj_fold_used(training->fold[b], without))
            add_to_course(labels, training, &sums, b, mean);
    for (size_t i = 0; status == 0 && i < nodes * width; i++) {
        size_t j = i / width, d = i % width;
        const double *turn = sums.turn + (j / row * dim + d % dim) * dim;
        double common = 0;
        for (size_t k = 0; k < dim; k++)
            common += turn[k] * sums.profile[j % row * width + d / dim * dim + k];
        common /= fmax(sums.profile_count[j % row], 1);
        mean[i] = (mean[i] + COURSE_PRIOR * common) / (sums.count[j] + COURSE_PRIOR) +
                  (d < dim ? labels->origin[d] : 0);
    }
    free(sums.turn);
    free(sums.count);
    free(sums.profile);
    free(sums.profile_count);
    return status;
}

/* One alignment: a stretch of bins on one target's row. */
struct path {
    const struct traj_labels *labels;
    const struct traj_training *training;
    const double *mean; /* [row][2 dim] of the target */
    double unit[2];     /* sd of position and velocity */
    double log_pace[3];
    double *score, *next; /* [row] */
    uint8_t *from;        /* [bins of the stretch][row] places come on */
};

static double misfit(const struct path *path, size_t b, size_t g)
{
    size_t dim = path->training->dim;
    const double *x = state_of(path->training, b), *mean = path->mean + g * 2 * dim;
    double sum = 0;
    for (size_t i = 0; i < 2 * dim; i++) {
        double apart = (x[i] - mean[i]) / path->unit[i / dim];
        sum += apart * apart;
    }
    return sum / 2;
}

/* Best of staying at g, coming from the place before, and from the one before that; the hold may
 * be stayed at for long and not be skipped. */
static double arrive(const struct path *path, size_t g, uint8_t *from)
{
    size_t hold = path->labels->steps;
    double best = path->score[g] + (g == hold ? -HOLD_ON : path->log_pace[0]);
    *from = 0;
    for (size_t k = 1; k <= 2 && k <= g; k++) {
        double come = path->score[g - k] + (g - k == hold ? -HOLD_END : path->log_pace[k]);
        bool over = k == 2 && (g == hold + 1 || g == hold + 2);
        if (!over && come > best) {
            best = come;
            *from = (uint8_t)k;
        }
    }
    return best;
}

/* The most probable way of the stretch through the row (Viterbi); its ends stay near where the
 * onsets put them. */
static void trace(struct path *path, size_t first, size_t count, int32_t base, int32_t *place)
{
    size_t row = path->labels->row, best = 0;
    long begin = (long)place[first] - base, end = (long)place[first + count - 1] - base;
    for (size_t g = 0; g < row; g++)
        path->score[g] = -EDGE * fabs((double)((long)g - begin)) - misfit(path, first, g);
    for (size_t t = 1; t < count; t++) {
        for (size_t g = 0; g < row; g++)
            path->next[g] = arrive(path, g, &path->from[t * row + g]) - misfit(path, first + t, g);
        double *held = path->score;
        path->score = path->next;
        path->next = held;
    }
    for (size_t g = 0; g < row; g++)
        path->score[g] -=
            end > (long)path->labels->steps ? EDGE * fabs((double)((long)g - end)) : 0;
    for (size_t g = 1; g < row; g++)
        best = path->score[g] > path->score[best] ? g : best;
    for (size_t t = count; t-- > 0;) {
        place[first + t] = base + (int32_t)best;
        best -= t > 0 ? path->from[t * row + best] : 0;
    }
}

/* Bins from b on that are one target's, in the order of its row. */
static size_t stretch(const struct traj_labels *labels, const struct traj_training *training,
                      const int32_t *initial, size_t b)
{
    int32_t row = (int32_t)labels->row;
    size_t count = 1;
    while (initial[b] >= 1 && b + count < labels->bins &&
           initial[b + count] >= initial[b + count - 1] &&
           (initial[b + count] - 1) / row == (initial[b] - 1) / row &&
           training->run_start[b + count] == training->run_start[b])
        count++;
    return count;
}

/* Places by one more round of alignment to the courses that the present places make. */
static int align(struct traj_labels *labels, const struct traj_training *training,
                 const int32_t *initial)
{
    size_t width = 2 * training->dim, row = labels->row, longest = 1;
    for (size_t b = 0, count; b < labels->bins; b += count) {
        count = stretch(labels, training, initial, b);
        longest = count > longest ? count : longest;
    }
    double *mean = malloc(labels->targets * row * width * sizeof *mean), pace[3];
    double *score = malloc(2 * row * sizeof *score);
    struct path path = {
        .labels = labels,
        .training = training,
        .unit = {ALIGN_POSITION * labels->reach, ALIGN_VELOCITY * training->scale[1]},
        .score = score,
        .from = malloc(longest * row)};
    traj_labels_pace(training->bin, labels->step, pace);
    for (size_t k = 0; k < 3; k++)
        path.log_pace[k] = log(fmax(pace[k], 1e-3));
    bool failed = !mean || !score || !path.from ||
                  traj_labels_courses(labels, training, TRAJ_FOLD_NONE, mean);
    path.next = failed ? NULL : score + row;
    memcpy(labels->place, initial, labels->bins * sizeof *initial);
    for (size_t b = 0, count; !failed && b < labels->bins; b += count) {
        count = stretch(labels, training, initial, b);
        if (initial[b] < 1)
            continue;
        size_t target = (size_t)(initial[b] - 1) / row;
        path.mean = mean + target * row * width;
        trace(&path, b, count, 1 + (int32_t)(target * row), labels->place);
    }
    free(mean);
    free(score);
    free(path.from);
    return failed ? -1 : 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

void traj_labels_free(struct traj_labels *labels)
{
    if (!labels)
        return;
    free(labels->place);
    free(labels->cycle);
    free(labels);
}

static int settle(struct traj_labels *labels, const struct traj_training *training)
{
    int32_t *initial = malloc((labels->bins + 1) * sizeof *initial);
    int status = initial ? 0 : -1;
    for (size_t b = 0; b < labels->bins; b++)
        labels->place[b] = TRAJ_LABEL_NONE;
    for (size_t i = 0; i < labels->cycles; i++)
        label_cycle(labels, training, i);
    if (status == 0)
        memcpy(initial, labels->place, labels->bins * sizeof *initial);
    for (size_t round = 0; status == 0 && round < ROUNDS; round++)
        status = align(labels, training, initial);
    free(initial);
    return status;
}

struct traj_labels *traj_labels_new(const struct traj_training *training, struct traj_error *error)
{
    struct traj_labels *labels = calloc(1, sizeof *labels);
    double scatter;
    error->text[0] = '\0';
    if (labels) {
        measure_origin(training, labels->origin, &scatter, &labels->reach);
        labels->targets = training->targets;
        labels->bins = training->bins;
        labels->place = calloc(training->bins + 1, sizeof *labels->place);
    }
    if (!labels || !labels->place || find_cycles(labels, training) ||
        measure_steps(labels, training) ||
        (labels->cycles >= CYCLES_A_TARGET * labels->targets && settle(labels, training))) {
        traj_labels_free(labels);
        traj_error_set(error, "no memory for labels of %zu bins", training->bins);
        return NULL;
    }
    if (labels->cycles < CYCLES_A_TARGET * labels->targets) {
        traj_labels_free(labels);
        return NULL;
    }
    return labels;
}
