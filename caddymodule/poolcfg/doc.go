// Package poolcfg turns a pool's configuration into what packages pool and phpbin need.
//
// [Options] are the options as configured; [Merge] adds the defaults of the php_pool
// app and validates the result. [NewPlan] finds php-cgi and returns a [Plan]: which
// processes to start, as which user, with which ini settings and environment, and the
// settings of the pool. [Allocate] then divides the machine's memory between all
// plans whose max_workers is auto. [Plan.Starter] starts the processes.
package poolcfg
