/* What is counted, among uWSGI's own metrics: its stats server shows them, and what is
 * pushed of those. */
#ifndef FLAME_PLUGIN_METRICS_H
#define FLAME_PLUGIN_METRICS_H

/*
 * Registers "flameprof.NAME" for each counter, and "flameprof.running", of this
 * process' block, which has been made. In a hook before uWSGI sets its metrics up;
 * without
 * --enable-metrics nobody reads them.
 */
void flame_metrics_register(void);

#endif
