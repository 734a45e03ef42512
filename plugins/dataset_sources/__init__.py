"""How images and labels lie on a disk: folders of classes, tables, archives of either, and arrays in a package."""
