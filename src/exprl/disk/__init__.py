"""What a run directory is made of: files that survive a kill, one owner at a time, the layout, the machine.

    files        append-only JSONL with a torn last line dropped, JSON renamed into place, a disk without room
    lock         one process a run directory
    layout       the files of a stage and of a set of samples, marks of finished work
    environment  what the run ran on, without who and where

`exprl.runs` puts them together and is the module to import from.
"""
