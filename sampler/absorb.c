/*
 * Several profiles as one: their trees, their counts, and the spacing of their samples.
 */
#include <errno.h>
#include <math.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

void flame_quality_count(struct flame_quality *sum, const struct flame_quality *more)
{
    sum->cpu_ns += more->cpu_ns;
    sum->children += more->children;
    sum->unwatched += more->unwatched;
    sum->samples += more->samples;
    sum->missed += more->missed;
    sum->rejected += more->rejected;
    sum->cut += more->cut;
    sum->overflow += more->overflow;
    sum->sampling_ns += more->sampling_ns;
}

void flame_session_pool_spacing(struct flame_session *into,
                                const struct flame_session *from)
{
    into->spacing_count += from->spacing_count;
    into->spacing_sum_ns += from->spacing_sum_ns;
    into->spacing_squares += from->spacing_squares;
}

void flame_session_note_spacing(struct flame_session *session)
{
    struct flame_quality *quality = &session->quality;

    if (session->spacing_count > 0) {
        double count = (double)session->spacing_count;
        double mean = (double)session->spacing_sum_ns / count;
        double variance = (double)session->spacing_squares / count - mean * mean;
        quality->spacing_mean_ns = (uint64_t)mean;
        quality->spacing_deviation_ns = variance > 0 ? (uint64_t)sqrt(variance) : 0;
    }
}

int flame_session_new_empty(struct flame_session **out)
{
    *out = NULL;
    int error = flame_session_reserve(out);

    if (error == 0) {
        flame_session_clear(*out, 0, 0);
        (*out)->quality.gil_wait_known = true;
        (*out)->quality.runnable_known = true;
        (*out)->profile.quality = (*out)->quality;
        (*out)->profile.names = NULL;
        flame_store_read((*out)->store, &(*out)->profile);
    }
    return error;
}

static void add_quality(struct flame_quality *sum, const struct flame_quality *more)
{
    flame_quality_count(sum, more);
    sum->interval_ns = sum->interval_ns == 0 ? more->interval_ns : sum->interval_ns;
    sum->duration_ns += more->duration_ns;
    sum->beside_ns += more->beside_ns;
    sum->everybody |= more->everybody;
    sum->deadline_reached |= more->deadline_reached;
    sum->gil_wait_known &= more->gil_wait_known;
    sum->runnable_known &= more->runnable_known;
}

int flame_session_absorb(struct flame_session *into, const struct flame_session *from)
{
    int error = flame_store_merge(into->store, from->store, NULL);

    if (error == -ENOMEM) {
        return error;
    }
    add_quality(&into->quality, &from->quality);
    into->quality.overflow += error != 0;
    flame_session_pool_spacing(into, from);
    flame_session_note_spacing(into);
    flame_store_forget_order(into->store);
    into->profile.quality = into->quality;
    flame_store_read(into->store, &into->profile);
    return 0;
}
