"""What a person types at the screens, from the menu on."""

from .machine import CLEAR, DOWN, END, ENTER, UP


def type_place(vm, kind, *lines):
    """From the list of places: a share that is typed, line by line."""
    vm.wait_screen("An SMB (Windows) share ...")
    vm.type(END + (UP if kind == "NFS" else "") + ENTER)
    vm.wait_screen(f"Holotype - an {kind} share")
    vm.type("".join(CLEAR + line + ENTER for line in lines))


def back(vm):
    """From a sentence about what did not work to what was asked before."""
    vm.wait_screen("that did not work")
    vm.type(DOWN + ENTER)


def make_repository(vm, password):
    """A place without a repository was chosen: the image's name, and a new password."""
    vm.wait_screen("There is no repository yet")
    vm.type(ENTER)
    vm.wait_screen("Choose a password")
    vm.type(password + ENTER + CLEAR + password + ENTER)


def back_up(vm):
    """The only disk, up to the list of places."""
    vm.wait_screen("Back up this PC")
    vm.type(ENTER)
    vm.wait_screen("which disk?")
    vm.type(ENTER)
    vm.wait_screen("where to?")


def go(vm, done):
    """From the summary to the end, and off."""
    vm.wait_screen("this will happen")
    vm.type(ENTER)
    vm.wait_screen(f"{done}: everything was done")
    vm.type(DOWN + ENTER)
    return vm.wait_end()


def restore_newest(vm, password):
    """A place with a repository was chosen: the password, the first image, the only disk, and off."""
    vm.wait_screen("ends this restore")
    vm.type(password + ENTER)
    vm.wait_screen("which image?")
    vm.type(ENTER)
    vm.wait_screen("onto which disk?")
    vm.type(ENTER)
    return go(vm, "Restore")
