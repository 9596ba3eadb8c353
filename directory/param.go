package directory

// Param numbers a parameter of the network file.
type Param uint8

// The parameters (SPEC.md §2.3).
const (
	ParamEpoch Param = 1 + iota // seconds
	ParamPoWBits
	ParamASCap // this and all caps: per mille
	ParamPrefixCap
	ParamFamilyCap
	ParamCohortCap
	ParamNewcomerCap
	ParamClusterCap
	ParamLineageCap
	ParamUnvouchedCap
	ParamGuardDays
	ParamGuardWFU // per mille
	ParamWitnesses
	ParamWitnessSet
	ParamConfigCluster
	ParamProbeMiB // MiB a day
)

// Param returns the value of a parameter or its default. N is the number of
// listed relays, on which one default depends.
func (f *NetworkFile) Param(p Param, n int) int64 {
	if v, ok := f.Params[p]; ok {
		return v
	}
	if p == ParamPrefixCap && n < 500 {
		return 40
	}
	return paramRules[p].def
}

type paramRule struct{ def, min, max int64 }

// paramRules is indexed by Param.
var paramRules = [...]paramRule{
	ParamEpoch:         {3600, 1800, 10800},
	ParamPoWBits:       {12, 0, 64},
	ParamASCap:         {200, 0, 1000},
	ParamPrefixCap:     {20, 0, 1000},
	ParamFamilyCap:     {80, 0, 1000},
	ParamCohortCap:     {50, 0, 1000},
	ParamNewcomerCap:   {150, 0, 1000},
	ParamClusterCap:    {20, 0, 1000},
	ParamLineageCap:    {100, 0, 1000},
	ParamUnvouchedCap:  {250, 0, 1000},
	ParamGuardDays:     {30, 0, 3650},
	ParamGuardWFU:      {950, 0, 1000},
	ParamWitnesses:     {3, 0, 32},
	ParamWitnessSet:    {7, 0, 32},
	ParamConfigCluster: {0, 0, 1},
	ParamProbeMiB:      {2048, 0, 1 << 30},
}
