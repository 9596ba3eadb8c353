package main

import (
	"runtime"
	"time"
)

// usage is what a process has used since its start.
type usage struct {
	CPU      time.Duration // of user and system
	RSS      int64         // resident now, bytes; 0 where unknown
	Stacks   int64         // bytes
	Live     int64         // bytes of heap objects and stacks
	Mallocs  uint64        // heap objects allocated
	Routines int           // goroutines
}

func measureSelf() (usage, error) {
	cpu, err := cpuTime()
	if err != nil {
		return usage{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		CPU: cpu, RSS: resident(), Stacks: int64(m.StackInuse), Live: int64(m.HeapAlloc + m.StackInuse),
		Mallocs: m.Mallocs, Routines: runtime.NumGoroutine(),
	}, nil
}
