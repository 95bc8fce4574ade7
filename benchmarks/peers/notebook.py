"""The notebook way: `get_fdata`, every tumour plane into a list, one array, `np.save`."""

import nibabel
import numpy as np

from benchmarks.peers.runner import Watch, pairs, read_task


def main() -> None:
    """Load every case into memory, in one thread."""
    task, watch = read_task(), Watch()
    images, labels = [], []
    with watch.running():
        for image_path, label_path in pairs(task):
            image = nibabel.load(image_path).get_fdata()
            label = nibabel.load(label_path).get_fdata()
            for m in range(image.shape[3]):
                brain = image[..., m] != 0
                inside = image[..., m][brain]
                image[..., m][brain] = (inside - inside.mean()) / inside.std()
            for z in range(image.shape[2]):
                if label[:, :, z].any():
                    images.append(image[:, :, z].astype(np.float32))
                    labels.append(label[:, :, z].astype(np.uint8))
        np.save(task.out / "images.npy", np.array(images))
        np.save(task.out / "labels.npy", np.array(labels))
    watch.report(task)


if __name__ == "__main__":
    main()
