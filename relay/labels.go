package relay

// labelRoot is part of the additional data of a sealed root key (SPEC.md §7.5).
const labelRoot = "hearsay/1 root key"

// labelBackup begins what a backup of a home seals (SPEC.md §7.11).
const labelBackup = "hearsay/1 home backup"
