#include "middleware/archive/listing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "listing_assets.h"
#include "renderer/numbers.h"
#include "renderer/writer.h"

typedef int compare(const struct flame_facts *a, const struct flame_facts *b);

static int by_number(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

static int by_time(const struct flame_facts *a, const struct flame_facts *b)
{
    return by_number(a->time_ms, b->time_ms);
}

static int by_path(const struct flame_facts *a, const struct flame_facts *b)
{
    int order = strcmp(a->path, b->path);

    return order != 0 ? order : strcmp(a->method, b->method);
}

static int by_status(const struct flame_facts *a, const struct flame_facts *b)
{
    return strcmp(b->status, a->status); /* errors first */
}

static int by_duration(const struct flame_facts *a, const struct flame_facts *b)
{
    return by_number(a->quality.duration_ns, b->quality.duration_ns);
}

static int by_cpu(const struct flame_facts *a, const struct flame_facts *b)
{
    return by_number(a->quality.cpu_ns, b->quality.cpu_ns);
}

static int by_why(const struct flame_facts *a, const struct flame_facts *b)
{
    return a->cut != b->cut ? (a->cut < b->cut) - (a->cut > b->cut)
                            : (a->why < b->why) - (a->why > b->why);
}

/* In the order of the table; the last one is the usual order. */
static const struct {
    const char *name;
    const char *heading;
    compare *compare;
    bool number;
    bool ascending;
} COLUMNS[] = {
    {"path", "request", by_path, false, true},
    {"status", "status", by_status, false, false},
    {"duration", "took", by_duration, true, false},
    {"cpu", "CPU time", by_cpu, true, false},
    {"why", "kept", by_why, false, false},
    {"time", "when, UTC", by_time, false, false},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof *COLUMNS };

int flame_listing_order(struct flame_slice name, int *order)
{
    *order = COLUMN_COUNT - 1;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (flame_slice_is(name, COLUMNS[i].name)) {
            *order = i;
            return 0;
        }
    }
    return name.length == 0 ? 0 : -EINVAL;
}

const char *flame_listing_policy(void)
{
    return "default-src 'none'; style-src '" FLAME_ASSET_LISTING_HASH
           "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
}

/* The newest first among equals: the comparison of a table's column, then time. */
static int compare_entries(const void *a, const void *b, void *order)
{
    const struct flame_facts *left = &((const struct flame_archive_entry *)a)->facts;
    const struct flame_facts *right = &((const struct flame_archive_entry *)b)->facts;
    int result = COLUMNS[*(int *)order].compare(left, right);

    return result != 0 ? result : by_time(left, right);
}

/* ---- pieces ------------------------------------------------------------------ */

static void put_escaped(struct flame_writer *out, const char *text)
{
    flame_write_escaped(out, flame_slice_of(text), FLAME_ESCAPE_XML);
}

/* "1.4 MB" */
static void put_size(struct flame_writer *out, uint64_t bytes)
{
    static const char *const units[] = {" bytes", " KiB", " MiB", " GiB"};
    uint64_t tenths = bytes * 10;
    size_t unit = 0;
    char text[40];

    while (tenths >= 10240 && unit < 3) {
        tenths /= 1024;
        unit++;
    }
    if (unit == 0) {
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)bytes, units[0]);
    } else {
        snprintf(text, sizeof text, "%llu.%llu%s", (unsigned long long)(tenths / 10),
                 (unsigned long long)(tenths % 10), units[unit]);
    }
    flame_write_text(out, text);
}

/* "3 min ago" */
static void put_age(struct flame_writer *out, uint64_t time_ms)
{
    int64_t seconds = (int64_t)time(NULL) - (int64_t)(time_ms / 1000);
    char text[40];

    if (seconds < 60) {
        snprintf(text, sizeof text, "just now");
    } else if (seconds < 3600) {
        snprintf(text, sizeof text, "%lld min ago", (long long)(seconds / 60));
    } else if (seconds < 86400) {
        snprintf(text, sizeof text, "%lld h ago", (long long)(seconds / 3600));
    } else {
        snprintf(text, sizeof text, "%lld d ago", (long long)(seconds / 86400));
    }
    flame_write_text(out, text);
}

static void put_time(struct flame_writer *out, uint64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char text[64] = "";
    char machine[64] = "";

    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
        strftime(machine, sizeof machine, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    flame_write_text(out, "<time datetime=\"");
    flame_write_text(out, machine);
    flame_write_text(out, "\">");
    flame_write_text(out, text);
    flame_write_text(out, "</time><br><span class=\"ago\">");
    put_age(out, time_ms);
    flame_write_text(out, "</span>");
}

/* A bar, as long as it took beside the longest; of that, what it ran. */
static void put_bar(struct flame_writer *out, uint64_t part, uint64_t ran,
                    uint64_t whole)
{
    enum { WIDTH = 90 };
    double scale = whole == 0 ? 0 : (double)WIDTH / (double)whole;
    unsigned all = (unsigned)((double)part * scale + 0.5);
    unsigned own = (unsigned)((double)(ran < part ? ran : part) * scale + 0.5);
    char text[300];

    snprintf(text, sizeof text,
             "<svg width=\"%d\" height=\"5\" aria-hidden=\"true\">"
             "<rect class=\"all\" x=\"%u\" width=\"%u\" height=\"5\"/>"
             "<rect class=\"ran\" x=\"%u\" width=\"%u\" height=\"5\"/></svg>",
             WIDTH, WIDTH - all, all, WIDTH - all, own);
    flame_write_text(out, text);
}

/* ---- the table --------------------------------------------------------------- */

static void put_headings(struct flame_writer *out, int order)
{
    flame_write_text(out, "<thead><tr>");
    for (int i = 0; i < COLUMN_COUNT; i++) {
        flame_write_text(out, "<th scope=\"col\"");
        if (COLUMNS[i].number) {
            flame_write_text(out, " class=\"number\"");
        }
        if (i == order) {
            flame_write_text(out, COLUMNS[i].ascending ? " aria-sort=\"ascending\""
                                                       : " aria-sort=\"descending\"");
        }
        flame_write_text(out, "><a href=\"?");
        flame_write_text(out, COLUMNS[i].name);
        flame_write_text(out, "\">");
        flame_write_text(out, COLUMNS[i].heading);
        flame_write_text(out, "</a></th>");
    }
    flame_write_text(out, "<th scope=\"col\" class=\"compare\">before</th>"
                          "<th scope=\"col\" class=\"compare\">after</th>"
                          "</tr></thead>\n");
}

static void put_choice(struct flame_writer *out, const char *name, const char *profile,
                       const char *label)
{
    flame_write_text(out, "<td class=\"compare\"><input type=\"radio\" name=\"");
    flame_write_text(out, name);
    flame_write_text(out, "\" value=\"");
    flame_write_text(out, profile);
    flame_write_text(out, "\" aria-label=\"");
    flame_write_text(out, label);
    flame_write_text(out, "\" title=\"");
    flame_write_text(out, label);
    flame_write_text(out, "\"></td>");
}

static void put_formats(struct flame_writer *out, const char *name)
{
    static const char *const formats[] = {"html", "pprof", "speedscope", "folded",
                                          "json"};

    flame_write_text(out, "<br><span class=\"more\">");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        flame_write_text(out, "<a href=\"");
        flame_write_text(out, name);
        flame_write_text(out, "?flamegraph_format=");
        flame_write_text(out, formats[i]);
        flame_write_text(out, "\">");
        flame_write_text(out, formats[i]);
        flame_write_text(out, "</a>");
    }
    flame_write_text(out, "</span>");
}

static void put_request(struct flame_writer *out,
                        const struct flame_archive_entry *entry)
{
    flame_write_text(out, "<td class=\"path\"><span class=\"method\">");
    put_escaped(out, entry->facts.method);
    flame_write_text(out, "</span> <a href=\"");
    flame_write_text(out, entry->name);
    flame_write_text(out, "\">");
    put_escaped(out, entry->facts.path);
    flame_write_text(out, "</a>");
    put_formats(out, entry->name);
    flame_write_text(out, "</td>");
}

static void put_status(struct flame_writer *out, const struct flame_facts *facts)
{
    bool bad = facts->raised[0] != '\0' || facts->status[0] == '5';

    flame_write_text(out, bad ? "<td class=\"bad\">" : "<td>");
    put_escaped(out, facts->status);
    if (facts->raised[0] != '\0') {
        flame_write_text(out, facts->status[0] != '\0' ? "<br>" : "");
        put_escaped(out, facts->raised);
    }
    flame_write_text(out, "</td>");
}

static void put_why(struct flame_writer *out, const struct flame_facts *facts)
{
    flame_write_text(out, "<td>");
    if (facts->why != FLAME_WHY_CUT) {
        flame_write_text(out, "<span class=\"tag\">");
        flame_write_text(out, flame_why_name(facts->why));
        flame_write_text(out, "</span>");
    }
    if (facts->cut != FLAME_CUT_NOT) {
        flame_write_text(out, facts->why != FLAME_WHY_CUT ? "<br>" : "");
        flame_write_text(out, "<span class=\"tag cut\">cut short: ");
        flame_write_text(out, flame_cut_name(facts->cut));
        flame_write_text(out, "</span>");
    }
    flame_write_text(out, "</td>");
}

/* Of a request too short to be sampled only the duration was measured. */
static void put_cpu(struct flame_writer *out, const struct flame_quality *quality)
{
    if (quality->samples == 0 && quality->cpu_ns == 0) {
        flame_write_text(out, "–");
    } else {
        flame_write_duration(out, quality->cpu_ns);
    }
}

static void put_entry(struct flame_writer *out, const struct flame_archive_entry *entry,
                      uint64_t longest_ns)
{
    const struct flame_quality *quality = &entry->facts.quality;

    flame_write_text(out, "<tr>");
    put_request(out, entry);
    put_status(out, &entry->facts);
    flame_write_text(out, "<td class=\"number\">");
    flame_write_duration(out, quality->duration_ns);
    put_bar(out, quality->duration_ns, quality->cpu_ns, longest_ns);
    flame_write_text(out, "</td><td class=\"number\">");
    put_cpu(out, quality);
    flame_write_text(out, "</td>");
    put_why(out, &entry->facts);
    flame_write_text(out, "<td>");
    put_time(out, entry->facts.time_ms);
    flame_write_text(out, "</td>");
    put_choice(out, "flamegraph_diff", entry->name, "before");
    put_choice(out, "flamegraph_profile", entry->name, "after");
    flame_write_text(out, "</tr>\n");
}

static void put_table(struct flame_writer *out,
                      const struct flame_archive_entry *entries, size_t count,
                      int order)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t took = entries[i].facts.quality.duration_ns;
        longest = took > longest ? took : longest;
    }
    flame_write_text(out, "<form><div class=\"wide\"><table>");
    put_headings(out, order);
    flame_write_text(out, "<tbody>");
    for (size_t i = 0; i < count && out->error == 0; i++) {
        put_entry(out, &entries[i], longest);
    }
    flame_write_text(out, "</tbody></table></div>"
                          "<button>Compare</button></form>");
}

/* ---- the page ---------------------------------------------------------------- */

/* "12 profiles, 1.4 MiB, the newest 500 are shown" */
static void put_sum(struct flame_writer *out, const struct flame_archive_entry *entries,
                    size_t count, size_t all)
{
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size += entries[i].size;
    }
    flame_write_text(out, "<p class=\"sum\">");
    flame_write_grouped(out, all);
    flame_write_text(out, all == 1 ? " profile" : " profiles");
    if (count < all) {
        flame_write_text(out, ", of which ");
        flame_write_grouped(out, count);
        flame_write_text(out, " are shown");
    }
    flame_write_text(out, ", ");
    put_size(out, size);
    flame_write_text(out, "</p>");
}

static void put_page(struct flame_writer *out,
                     const struct flame_archive_entry *entries, size_t count,
                     size_t all, int order)
{
    flame_write_text(out, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                          "<meta charset=\"utf-8\"><title>Kept profiles</title>"
                          "<meta name=\"viewport\" content=\"width=device-width\">"
                          "<style>");
    flame_write_text(out, flame_asset_listing);
    flame_write_text(out, "</style></head><body><main><h1>Kept profiles</h1>");
    if (count == 0) {
        flame_write_text(out,
                         "<p class=\"empty\">None yet. A request with "
                         "?flamegraph=1&amp;flamegraph_keep=1 has its own answer, and "
                         "its profile is kept here.</p>");
    } else {
        put_sum(out, entries, count, all);
        put_table(out, entries, count, order);
    }
    flame_write_text(out, "</main></body></html>\n");
}

int flame_listing_write(const struct flame_shelf *archive, int order,
                        struct flame_writer *out)
{
    struct flame_archive_entry *entries;
    size_t count;
    size_t all;
    int error = flame_archive_list(archive, FLAME_LISTING_MOST, &entries, &count, &all);

    if (error != 0) {
        return error;
    }
    if (count != 0) {
        qsort_r(entries, count, sizeof *entries, compare_entries, &order);
    }
    put_page(out, entries, count, all, order);
    free(entries);
    return out->error;
}
