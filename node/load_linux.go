package node

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// load is the machine's load over the last minute as a share of its processors, 0 to 100.
func load() int64 {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), " ")
	running, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return min(100, int64(running*100/float64(runtime.NumCPU())))
}
