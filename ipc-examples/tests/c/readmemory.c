/* Prints the segment of the file sharedmem and the id 'a' as a C string, and removes it. */
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
    int segment = shmget(ftok("sharedmem", 'a'), 1024, 0666);
    char *text = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
    if (text == (char *)-1) {
        perror("shared memory");
        return 1;
    }
    printf("Data read from memory: %s\n", text);
    return shmdt(text) < 0 || shmctl(segment, IPC_RMID, NULL) < 0;
}
