// Package ansible reads Ansible inventories: INI and YAML files, programs that
// print JSON, host lists (a,b,), and directories of these, each with the group_vars
// and host_vars beside it.
//
// Call [Load], then [Inventory.Universe] to select hosts by patterns and [Inventory.Vars] for
// the variables of a host. Groups, ranges, the order of precedence of variables and
// the patterns are Ansible's (ansible-core 2.14, inventory/ and plugins/), except:
//
//   - Values stay text as they were written. Templates are not evaluated, lists and
//     mappings become compact JSON. !vault values, whole vault files, and variables
//     that no attribute can be (names such as aws:tag, values beyond 64 KiB) are left
//     out; the notices count them.
//   - What Ansible ignores with a warning is a problem here: an unknown key of a
//     group, a duplicate key, a pattern that matches nothing.
//   - Ranges count in host lists too (as the plugin advanced_host_list does).
//   - Of inventory plugins only these formats are read; ansible-inventory --list can
//     stand in for the others, as a program.
//
// A file is a program when it may be executed and begins with #! or is not text,
// YAML when it is named .yml, .yaml or .json or begins like it, and INI otherwise.
package ansible
