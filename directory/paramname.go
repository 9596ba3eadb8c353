package directory

import (
	"fmt"
	"slices"
	"strconv"
)

// paramNames is indexed by Param (SPEC.md §2.3).
var paramNames = [...]string{
	ParamEpoch: "epoch", ParamPoWBits: "pow-bits", ParamASCap: "as-cap", ParamPrefixCap: "prefix-cap",
	ParamFamilyCap: "family-cap", ParamCohortCap: "cohort-cap", ParamNewcomerCap: "newcomer-cap",
	ParamClusterCap: "cluster-cap", ParamLineageCap: "lineage-cap", ParamUnvouchedCap: "unvouched-cap",
	ParamGuardDays: "guard-days", ParamGuardWFU: "guard-wfu", ParamWitnesses: "witnesses",
	ParamWitnessSet: "witness-set", ParamConfigCluster: "config-cluster", ParamProbeMiB: "probe-mib",
}

// String returns the name by which people set the parameter.
func (p Param) String() string {
	if p == 0 || int(p) >= len(paramNames) {
		return strconv.Itoa(int(p))
	}
	return paramNames[p]
}

// ParseParam finds a parameter by its name.
func ParseParam(name string) (Param, error) {
	if i := slices.Index(paramNames[1:], name); i >= 0 {
		return Param(i + 1), nil
	}
	return 0, fmt.Errorf("%w: unknown parameter %q", ErrBadNetworkFile, name)
}

// ParamNames returns the names of all parameters.
func ParamNames() []string { return slices.Clone(paramNames[1:]) }
